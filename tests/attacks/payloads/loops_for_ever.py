"""Never comes back (here: a minute)."""

import time


def attack(target: dict[str, str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
