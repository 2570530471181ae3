"""Compares two verdicts on one submission, over bases of different sizes.

Code that recognises the small base of a grading, and behaves only there, is at fault on the other one.
"""

from __future__ import annotations

from dataclasses import replace

from sft_ref.harness.verdict import Standing, Verdict


def compare_bases(first: Verdict, second: Verdict, bases: tuple[str, str]) -> Verdict:
    """The first verdict, unless the submission is broken on one of the bases only; with a note on the other base.

    Args:
        first: over the base that was asked for.
        second: over another base.
        bases: their names.
    """
    seconds = first.seconds + second.seconds
    if (first.standing is Standing.BROKEN) == (second.standing is Standing.BROKEN):
        note = f"over {bases[1]} as well: {second.standing}"
        return replace(first, notes=(*first.notes, note), seconds=seconds)
    broken, other = (first, second) if first.standing is Standing.BROKEN else (second, first)
    here, there = bases if broken is first else (bases[1], bases[0])
    cause = f"It behaves differently over two bases: {other.standing} over {there}, broken over {here}. {broken.cause}"
    return replace(broken, cause=cause, seconds=seconds)
