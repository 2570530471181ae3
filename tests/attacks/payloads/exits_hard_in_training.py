"""Ends the process as if all were well, past every handler."""

import os


def attack(target: dict[str, str]) -> None:
    os._exit(0)
