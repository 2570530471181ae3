"""Checks of an implementation in this process, a file per stage."""

from sft_ref.harness.core.check import checks_in

from . import artifact, generate, load, parse, prompt, score, tokens, train

CHECKS = checks_in(prompt, tokens, train, artifact, load, generate, parse, score)

RETIRED = ("SCR-003",)
"""Ids that are never used again: TRN-010 reports a training that learns too little."""
