"""Checks of a submission, based on its recorded calls to the libraries; one file per stage."""

from sft_ref.harness.checks.shared import checks_of
from sft_ref.harness.core.check import checks_in, in_order
from sft_ref.harness.evidence import Evidence

from . import artifact, generate, load, parse, prompt, score, tokens, train

CHECKS = in_order((*checks_of(Evidence), *checks_in(prompt, tokens, train, artifact, load, generate, parse, score)))
