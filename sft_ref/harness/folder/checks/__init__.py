"""Checks of a bare adapter, a file a stage, or a file a part of it where a stage has many."""

from __future__ import annotations

from sft_ref.harness.check import Check, in_order
from sft_ref.harness.folder import answers

from . import files, keys, load, values

CHECKS: tuple[Check, ...] = in_order((*files.CHECKS, *keys.CHECKS, *values.CHECKS, *load.CHECKS, *answers.CHECKS))
