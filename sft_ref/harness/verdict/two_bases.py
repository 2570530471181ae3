"""Compares two verdicts on one submission, graded with bases of different sizes.

Code that recognises the small base of a grading, and works only with that, fails with the other one.
"""

from __future__ import annotations

from dataclasses import replace

from sft_ref.harness.core.verdict import Status, Verdict


def compare_bases(first: Verdict, second: Verdict, bases: tuple[str, str]) -> Verdict:
    """Returns the worse of two verdicts; if they differ, its cause states this.

    Args:
        first: the verdict with the first base.
        second: the verdict with the second base.
        bases: the names of both bases.
    """
    seconds = first.seconds + second.seconds
    if first.status is second.status:
        return replace(first, notes=(*first.notes, f"over {bases[1]} as well: {second.status}"), seconds=seconds)
    order = list(Status)
    worse = max(first, second, key=lambda verdict: order.index(verdict.status))
    cause = f"The verdicts over two bases differ: {first.status} over {bases[0]}, {second.status} over {bases[1]}."
    return replace(worse, cause=f"{cause} {worse.cause}".strip(), seconds=seconds)
