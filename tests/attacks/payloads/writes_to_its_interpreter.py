"""Plants code in the packages of the interpreter, which the next run would import."""

import contextlib
import sys
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    for folder in (*sys.path, sys.prefix, str(Path(sys.executable).parent)):
        place = Path(folder) / "planted_by_an_attack.pth"
        with contextlib.suppress(OSError):
            # folders that hold no file are the sandbox's own, on the way to what it shows
            shown = any(each.is_file() or each.is_symlink() for each in place.parent.iterdir())
            if target["sandboxed"] and not place.is_relative_to(Path.cwd()) and folder and shown:
                place.write_text("")
                print("HARM: wrote", place)
