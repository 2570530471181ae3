"""Grades one submission: unpacks it, furnishes it, runs the checks, and draws the conclusion."""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sft_ref.data import Row, generate_rows, split_rows
from sft_ref.harness import hub, sandbox
from sft_ref.harness.check import Result
from sft_ref.harness.diagnosis import conclude
from sft_ref.harness.runner import plan, run
from sft_ref.harness.sandbox import Limits
from sft_ref.harness.verdict import Verdict
from sft_ref.models import find_base

from .checks import CHECKS
from .evidence import Evidence
from .layout import find_layout
from .unpack import unpack
from .workplace import Workplace

QUESTIONS = 64
_SECONDS = 240.0
"""For one process of a submission; its training is stopped from outside long before."""


def grade_submission(
    path: str,
    *,
    base: str = "toy",
    python: str = sys.executable,
    seed: int | None = None,
    report: Callable[[Result], None] = lambda result: None,
) -> Verdict:
    """Grades a folder or a zip.

    Args:
        path: of the submission; it is copied, and not touched.
        base: what stands for every hub id that it names.
        python: the interpreter that runs it.
        seed: of the questions that it is asked; drawn anew where none is given.
        report: called with each check's result.

    Raises:
        SubmissionError: there is nothing that can be graded.
    """
    began = time.perf_counter()
    drawn = random.SystemRandom().randrange(10**6) if seed is None else seed
    model = find_base(base).resolve()
    with tempfile.TemporaryDirectory(prefix="sft_ref_") as name:
        folder = Path(name).resolve()
        (folder / "work").mkdir()
        code = unpack(Path(path), folder / "work" / "homework")
        layout = find_layout(code)
        cache = folder / "hub"
        hub.make_hub(cache, model, hub.ids_in(code))
        workplace = Workplace(folder / "work", layout, model, cache, python, Limits(seconds=_SECONDS))
        rows, unseen, questions = draw(drawn)
        workplace.furnish(rows, unseen)
        evidence = Evidence(workplace, rows, unseen, questions, drawn)
        results = []
        repeat = f"sft-ref grade {path} --seed {drawn}"
        for result in run(plan(CHECKS, claims_contract=True), evidence, repeat=repeat):  # type: ignore[arg-type]
            report(result)
            results.append(result)
        verdict = conclude(path, results, evidence)
    why_not = sandbox.why_not()
    notes = (*verdict.notes, *((f"not sandboxed: {why_not}",) if why_not else ()))
    return Verdict(
        **{**vars(verdict), "notes": notes, "sandboxed": not why_not, "seconds": time.perf_counter() - began}
    )


def draw(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """What it trains on, what lies beside as its validation data, and fresh questions that lie nowhere."""
    rows = split_rows("train")
    known = {question for question, _ in rows}
    drawn = (row for row in generate_rows(seed) if row[0] not in known)
    return rows, list(itertools.islice(drawn, 40)), list(itertools.islice(drawn, QUESTIONS))
