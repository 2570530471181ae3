"""Checks of an adapter without code, a file per stage; the artifact has three files."""

from sft_ref.harness.core.check import checks_in

from . import artifact_files, artifact_keys, artifact_values, base_identity, generate, load, prompt, scaling

CHECKS = checks_in(prompt, artifact_files, artifact_keys, artifact_values, load, base_identity, scaling, generate)
