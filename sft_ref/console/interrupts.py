"""Signals that end a command, as exceptions, so that everything on the way out is tidied up."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

GRACE = 10.0
"""Seconds after a signal in which another one changes nothing: tidying up is under way, and must not be cut off."""


class Interrupts:
    """A signal handler that raises `KeyboardInterrupt`, but not while the one before is still being dealt with.

    Attributes:
        number: of the first signal; None where none came.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._last = -math.inf

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raises; code that swallows it can be interrupted again after `GRACE` seconds."""
        now = time.monotonic()
        if now - self._last < GRACE:
            return
        self._last = now
        if self.number is None:
            self.number = number
        raise KeyboardInterrupt


@contextlib.contextmanager
def orderly() -> Iterator[Interrupts]:
    """Within it, what asks a process to end (Ctrl-C, `kill`, a closed terminal) raises `KeyboardInterrupt`.

    A signal that the process was started to ignore stays ignored. Once one came, the others are ignored from the end of
    this context on: Python resets its handlers while it shuts down, and a late signal would change the exit code.
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
