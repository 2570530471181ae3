"""Changes a file of the judge, and leaves new ones outside its folder."""

import contextlib
import os
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    around = f"/proc/{target['pid']}/root{target['victim']}"
    for place in (target["victim"], target["outside"] + "/planted", around):
        with contextlib.suppress(OSError):
            Path(place).write_text("forged")
    with contextlib.suppress(OSError):
        os.remove(target["victim"])
    for place in ("/usr/planted", "/etc/planted", "/planted", "/dev/planted", "/proc/sys/kernel/planted"):
        if target["sandboxed"]:
            with contextlib.suppress(OSError):
                Path(place).write_text("forged")
                print("HARM: wrote", place)
