"""What tests call on the nodes of a cluster: importable there by name."""

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
"""Name of the file beside the log for which submissions wait that are called slow."""


def node_of_this_process() -> int:
    """The process id of the node that this process belongs to; 0 outside of a cluster."""
    return next((each.pid for each in psutil.Process().parents() if each.name() == "raylet"), 0)


def grade_and_log(target: str, *, log: Path, report: Callable[[str], None] = lambda text: None, **_: object) -> Verdict:
    """A verdict whose note is the submission's text; leaves a line with its name, its node and its process."""
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
    """Where this process looks for modules."""
    return sys.path


def echo(text: str) -> str:
    """The text."""
    return text
