"""Checks of an implementation in this process, one file per stage; generation and training have two."""

from sft_ref.harness.checks.shared import checks_of
from sft_ref.harness.core.check import checks_in, in_order
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence

from . import answering, artifact, generate, load, parse, process, prompt, score, tokens, train

_MODULES = (prompt, tokens, train, process, artifact, load, generate, answering, parse, score)
CHECKS = in_order((*checks_of(ImplementationEvidence), *checks_in(*_MODULES)))

RETIRED = ("SCR-003",)
"""Ids that must not be reused; TRN-027 now reports a training that learns too little."""
