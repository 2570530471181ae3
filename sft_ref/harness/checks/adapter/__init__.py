"""Checks of a bare adapter, a file a stage; those of the artifact are in three files."""

from __future__ import annotations

from sft_ref.harness.core.check import Check, in_order

from . import artifact_files, artifact_keys, artifact_values, base_identity, generate, load, prompt, scaling

_FILES = (prompt, artifact_files, artifact_keys, artifact_values, load, base_identity, scaling, generate)

CHECKS: tuple[Check, ...] = in_order(each for file in _FILES for each in file.CHECKS)
