"""Searches for an input that breaks something, until a budget of time is used up."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("SFT_REF_FUZZ_SECONDS", "2"))
"""Of each target, by the clock."""
HANG = 20.0
"""Seconds of processor time after which one input counts as one that never ends."""
BATCH = 100
"""Inputs between two fresh starts of the generator, which lead it to other places."""

Input = TypeVar("Input")


class HangError(Exception):
    """One input took longer than any should."""


def search(target: Callable[[Input], object], inputs: st.SearchStrategy[Input], *, seconds: float = SECONDS) -> int:
    """Tries inputs until the time is used up; what the target raises ends it, with the smallest input that does so.

    Args:
        target: gets an input, and raises where something is wrong.
        inputs: where they come from.
        seconds: the budget.

    Returns:
        How many inputs were tried.
    """
    end, tried, failed = time.monotonic() + seconds, 0, False
    first = int(os.environ.get("SFT_REF_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"SFT_REF_FUZZ_SEED={first}")

    def attempt(value: Input) -> None:
        nonlocal tried, failed
        if time.monotonic() > end and not failed:  # the rest of a batch; a failure is made smaller all the same
            return
        tried += 1
        try:
            with processor_time(HANG):
                target(value)
        except BaseException:
            failed = True
            raise

    number = 0
    while time.monotonic() < end or not number:
        batch = given(inputs)(attempt)
        batch = settings(
            max_examples=BATCH,
            derandomize=False,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(batch)
        seed(first + number)(batch)()
        number += 1
    return tried


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Ends what runs within it after so much processor time, where Python looks for signals.

    Raises:
        HangError: it did.
    """

    def stop(number: int, frame: object) -> None:
        raise HangError(f"no end after {seconds:.0f} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
