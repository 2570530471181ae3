"""Invented verdicts for tests of their processing, and graders that return them, importable in a worker."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from sft_ref.errors import DataError
from sft_ref.harness.core.check import Check, Level, Outcome, Result
from sft_ref.harness.core.stages import SUBMISSION_STAGES
from sft_ref.harness.core.verdict import Coverage, Status, Suspect, Verdict


def result(id_: str, outcome: Outcome, seen: str = "", allowed: str = "", case: str = "") -> Result:
    """Returns a result of an invented check."""
    statement = "The parser reads what the model was trained to write"
    check = Check(id_, statement, Level.UNIVERSAL, "Else all is lost.", "Let both agree.", (), "", lambda _: None)
    rerun = f"sft-ref grade alice.zip --only {id_}" if outcome is Outcome.FAIL else ""
    return Result(check, outcome, 0.25, seen, allowed, case, rerun)


SOUND = Verdict(
    path="bob",
    status=Status.SOUND,
    cleared={"load": "effective delta differs by 0.0, allowed 1e-6"},
    sandboxed=True,
    seconds=31.4,
    results=(result("LOD-001", Outcome.PASS),),
    answer_rate=0.98,
    accuracy=0.61,
    coverage=tuple(Coverage(stage, examined=True) for stage in SUBMISSION_STAGES),
    size="adapter 1.2 MB",
)

BROKEN = Verdict(
    path="alice.zip",
    status=Status.BROKEN,
    suspects=(
        Suspect(
            stage="load",
            cause="what is loaded is float16, what was trained is float32",
            evidence=("LOD-001: 210 of 211 tensors float16, allowed 0",),
            remedy="Give load() the dtype that train() used.",
            status=Status.DRIFT,
            check="LOD-001",
        ),
        Suspect(
            stage="parse",
            cause="the prompt consumes <answer>, and the parser wants it",
            evidence=("0 of 64 answers read by its parser, 63 of 64 by ours", "answers return: McNemar p = 1e-19"),
            remedy="Let the parser take the text up to </answer>, or leave <answer> to the model.",
            example="6000.0</answer> → nan",
            check="PRS-001",
        ),
    ),
    cause="The prompt consumes <answer>, and the parser wants it; besides, the dtypes differ.",
    cleared={"prompt": "64 of 64 prompts begin their training text", "train": "loss 0.31, ours 0.30"},
    notes=("the input gradients that checkpointing needs were supplied from outside",),
    seconds=48.7,
    results=(
        result("PRM-001", Outcome.PASS),
        result("LOD-001", Outcome.SKIPPED, "no CUDA device"),
        result("PRS-001", Outcome.FAIL, "nan", "6000.0", "6000.0</answer>"),
        result("SCR-001", Outcome.BLOCKED, "PRS-001 did not pass"),
    ),
    answer_rate=0.0,
    accuracy=0.0,
    coverage=(Coverage("prompt", examined=True), Coverage("score", examined=False, reason="PRS-001 did not pass")),
)

NOT_SHOWN = replace(
    SOUND,
    path="carol",
    status=Status.NOT_SHOWN,
    coverage=(
        Coverage("load", examined=True),
        Coverage("scaling", examined=False, reason="no --data was given"),
        Coverage("base identity", examined=False, reason="no --data was given"),
        Coverage("prompt", examined=False, reason="no --prompt was given"),
    ),
)

DRIFT = replace(SOUND, status=Status.DRIFT, suspects=BROKEN.suspects[:1], cause=BROKEN.suspects[0].cause)


def grade_by_name(target: str, report: Callable[[str], None] = lambda text: None, **_: object) -> Verdict:
    """Behaves as the submission's name says; writes a line to the log that the environment names."""
    name = Path(target).name
    if log := os.environ.get("GRADED_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{name} {os.environ['OMP_NUM_THREADS']} {os.getpid()}\n")
    if "raises" in name:
        raise RuntimeError("the judge has a bug")
    if "no_submission" in name:
        raise DataError(f"{target}: holds no submission")
    if "reports" in name:
        report("a report")
    if "slow" in name:
        _wait(Path(target))
    for word, act in MISBEHAVIOUR.items():
        if word in name:
            act()
    verdict = BROKEN if "broken" in name else DRIFT if "drift" in name else SOUND
    return replace(verdict, path=target)


def _run_for_ever() -> None:
    """Never ends, and leaves a temporary folder like a process that is killed."""
    tempfile.mkdtemp()
    while True:
        pass


def _panic() -> None:
    """Raises the panic of a library in Rust."""
    from tokenizers import Tokenizer

    normalizer = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    Tokenizer.from_str(json.dumps({"normalizer": normalizer, "model": {"type": "BPE", "vocab": {}, "merges": []}}))


MISBEHAVIOUR: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "quits": lambda: sys.exit(0),
    "busy": _run_for_ever,
    "panics": _panic,
    "greedy": lambda: bytearray(psutil.virtual_memory().total),
}
"""Word in a submission's name -> effect of its grading on the process."""


def _wait(target: Path) -> None:
    """Waits until a file exists; cleans up when it is interrupted."""
    scratch = target.with_suffix(".scratch")
    try:
        scratch.touch()
        while not target.with_suffix(".go").exists():
            time.sleep(0.02)
    finally:
        scratch.unlink(missing_ok=True)
