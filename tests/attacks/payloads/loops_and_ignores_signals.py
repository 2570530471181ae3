"""Never comes back, and asks not to be disturbed (here: a minute)."""

import contextlib
import signal
import time


def attack(target: dict[str, str]) -> None:
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(1)
