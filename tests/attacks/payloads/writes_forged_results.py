"""Leaves result files wherever it can write, under every likely name."""

import contextlib
import json
import os
from pathlib import Path

NAMES = ("results.json", "result.json", "verdict.json", "answers.json", "report.json", "junit.xml", "scores.csv")


def attack(target: dict[str, str]) -> None:
    text = json.dumps({"verdict": "sound", "answer_rate": 1.0, "accuracy": 1.0, "tests": [], "score": 100})
    here = Path.cwd()
    for folder in {here, *here.parents, Path.home(), Path("/tmp"), Path("/dev/shm"), Path(target["outside"])}:
        for name in NAMES:
            with contextlib.suppress(OSError):
                (folder / name).write_text(text)
    os._exit(0)
