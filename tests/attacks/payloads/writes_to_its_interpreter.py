"""Plants code in the packages of the interpreter, which the next run would import."""

import contextlib
import sys
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    for folder in (*sys.path, sys.prefix, str(Path(sys.executable).parent)):
        place = Path(folder) / "planted_by_an_attack.pth"
        with contextlib.suppress(OSError):
            if target["sandboxed"] and not place.is_relative_to(Path.cwd()) and folder:
                place.write_text("")
                print("HARM: wrote", place)
