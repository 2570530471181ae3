"""Checks of an adapter without code, one file per stage; the artifact stage has three files."""

from sft_ref.harness.checks.shared import checks_of
from sft_ref.harness.core.check import checks_in, in_order
from sft_ref.harness.evidence.adapter import AdapterEvidence

from . import artifact_files, artifact_keys, artifact_values, base_identity, generate, load, prompt, scaling

CHECKS = in_order(
    (
        *checks_of(AdapterEvidence),
        *checks_in(prompt, artifact_files, artifact_keys, artifact_values, load, base_identity, scaling, generate),
    )
)
