"""Checks shared by all targets whose evidence has the required parts, one file per stage."""

from sft_ref.harness.core.check import Check, checks_in

from . import artifact, generate, load, parse, prompt, score, steps, tokens, train

CHECKS = checks_in(prompt, tokens, train, steps, artifact, load, generate, parse, score)


def checks_of(kind: type) -> tuple[Check, ...]:
    """Returns the shared checks whose required parts this kind of evidence has."""
    parts = {*dir(kind), *kind.__annotations__}
    return tuple(each for each in CHECKS if parts.issuperset(each.needs))
