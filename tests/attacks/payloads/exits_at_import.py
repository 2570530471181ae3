"""Ends the process as if all were well, before anything is defined."""

import sys


def attack(target: dict[str, str]) -> None:
    sys.exit(0)
