"""Turns signals that end a command into exceptions, so that everything is cleaned up on exit."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

GRACE = 10.0
"""Seconds after a signal in which further signals are ignored, so that cleaning up is not cut off."""


class Interrupts:
    """A signal handler that raises `KeyboardInterrupt`, but not while the previous one is still being handled.

    Attributes:
        number: number of the first signal; None if none was received.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._last = -math.inf

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raises `KeyboardInterrupt`; code that swallows it can be interrupted again after `GRACE` seconds."""
        now = time.monotonic()
        if now - self._last < GRACE:
            return
        self._last = now
        if self.number is None:
            self.number = number
        raise KeyboardInterrupt


@contextlib.contextmanager
def orderly() -> Iterator[Interrupts]:
    """Raises `KeyboardInterrupt` within its context on signals to end (Ctrl-C, `kill`, a closed terminal).

    A signal that the process was started to ignore stays ignored. After a first signal, the others are ignored from the
    end of this context on: Python resets its handlers during shutdown, and a late signal would change the exit code.
    """
    interrupts = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, interrupts)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if interrupts.number is None else signal.SIG_IGN)
