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
    for place in ("/usr/planted", "/etc/planted", "/planted", "/dev/planted"):
        if target["sandboxed"]:
            with contextlib.suppress(OSError):
                Path(place).write_text("forged")
                print("HARM: wrote", place)
    for place in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/sys/devices/system/cpu/cpu1/online"):
        with contextlib.suppress(OSError):
            os.close(os.open(place, os.O_WRONLY))  # and no more than opened
            print("HARM: could set", place)
