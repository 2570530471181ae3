"""Every check, a file a stage. The registry is this list: a check that is not in it does not exist."""

from sft_ref.harness.core.check import Check, in_order

from . import artifact, generate, load, parse, prompt, score, tokens, train

CHECKS: tuple[Check, ...] = in_order(
    each for module in (prompt, tokens, train, artifact, load, generate, parse, score) for each in module.CHECKS
)

RETIRED = ("SCR-003",)
"""Ids that are never used again: a training that learns too little is TRN-010's."""
