"""Functions that tests call on the nodes of a cluster, where they can be imported by name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from graders import MISBEHAVIOUR, SOUND

from sft_ref.errors import DataError
from sft_ref.harness.core.verdict import Verdict

GO = "go"
"""Name of a file next to the log; submissions with "slow" in their names wait until it exists."""


def node_of_this_process() -> int:
    """Returns the process id of the node that this process belongs to; 0 outside a cluster."""
    return next((each.pid for each in psutil.Process().parents() if each.name() == "raylet"), 0)


def grade_and_log(target: str, *, log: Path, report: Callable[[str], None] = lambda text: None, **_: object) -> Verdict:
    """Returns a verdict whose note is the submission's text; logs a line with its name, node and process."""
    path = Path(target)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{path.name} {node_of_this_process()} {os.getpid()}\n")
    while "slow" in path.name and not (log.parent / GO).exists():
        time.sleep(0.02)
    if "no_submission" in path.name:
        raise DataError(f"{target}: holds no submission")
    for word, act in MISBEHAVIOUR.items():
        if word in path.name:
            act()
    text = (path / "sft.py").read_text(encoding="utf-8")
    return replace(SOUND, path=target, notes=(f"{path}/sft.py holds {text}",))


def import_path() -> list[str]:
    """Returns the module search path of this process."""
    return sys.path


def echo(text: str) -> str:
    """Returns the text."""
    return text
