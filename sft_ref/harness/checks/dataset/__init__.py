"""Checks of a data set for a base model, one file per stage."""

from sft_ref.harness.checks.shared import checks_of
from sft_ref.harness.core.check import checks_in, in_order
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence

from . import prompt, tokens

CHECKS = in_order((*checks_of(DatasetEvidence), *checks_in(prompt, tokens)))
