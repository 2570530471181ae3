"""Grades one submission: unpacks it, furnishes it, runs the checks, and draws the conclusion."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.data import Row, generate_rows, split_rows
from sft_ref.errors import SubmissionError
from sft_ref.harness import hub, sandbox
from sft_ref.harness.check import Outcome, Result
from sft_ref.harness.diagnosis import cause_of, cleared_of, coverage_of, notes_of, standing_of, suspects_of
from sft_ref.harness.findings import Blocked, Unavailable
from sft_ref.harness.registry import choose_checks
from sft_ref.harness.repeat import repeat_command
from sft_ref.harness.runner import plan, run
from sft_ref.harness.sandbox import Limits
from sft_ref.harness.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.user_paths import SCRATCH, errors_with_user_paths, show_user_paths
from sft_ref.harness.verdict import Standing, Verdict
from sft_ref.models import find_base

from .answering import is_better, right
from .checks import CHECKS
from .checks.artifact import size_of
from .evidence import Evidence
from .layout import find_layout
from .measures import measure
from .unpack import unpack
from .workplace import Told, Workplace

QUESTIONS = 64
_TELLING = 0.2
"""Accuracy below which answers tell nothing."""
_FOREIGN = frozenset(
    {"bitsandbytes", "datasets", "deepspeed", "evaluate", "optimum", "pandas", "polars", "scipy", "sklearn"}
    | {"trl", "unsloth", "vllm", "xformers"}
)
"""Modules that a fine-tune may well need and that no empty one can stand in for: their lack is no fault of its own."""
LIMITS = Limits(seconds=240)
"""For one process of a submission; its training is stopped from outside long before."""


def grade_submission(
    path: Path,
    called: str,
    *,
    base: str = "toy",
    python: str = sys.executable,
    seed: int | None = None,
    only: Sequence[str] = (),
    limits: Limits = LIMITS,
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Runs a submission where it can do no harm, and says what is to be said of it.

    Args:
        path: of the submission, a folder, a zip or a module's file; it is copied, and not touched.
        called: the name by which it was asked for.
        base: what stands for every hub id that it names.
        python: the interpreter that runs it.
        seed: of the questions that it is asked; drawn anew where none is given.
        only: ids of checks, and none else.
        limits: of each of its processes.
        sizes: limits of size; they bind only where they are given.
        report: told the id and outcome of each check as it ends.

    Raises:
        SubmissionError: there is nothing that can be graded.
    """
    began = time.perf_counter()
    choose_checks(only)  # refuses unknown ids
    drawn = random.SystemRandom().randrange(10**6) if seed is None else seed
    planned = plan(CHECKS, claims_contract=True, only=only)
    model = find_base(base).resolve()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sft_ref_"))).resolve()
        code = folder / "work" / "code" / "homework"
        names = {code: called, folder: SCRATCH}
        stack.enter_context(errors_with_user_paths(names))
        code.parent.mkdir(parents=True)
        _unpack(path, code)
        layout = find_layout(code)
        cache = folder / "hub"
        hub.make_hub(cache, model, hub.ids_in(code))
        workplace = Workplace(folder / "work", layout, model, cache, python, limits)
        rows, unseen, questions = draw(drawn)
        shipped = workplace.furnish(rows, unseen)
        evidence = Evidence(workplace, rows, unseen, questions, drawn, limits=sizes)
        _look_at_start(evidence.training, python)
        results = []
        options = {
            "base": None if base == "toy" else base,
            "python": None if python == sys.executable else python,
            "seed": drawn,
        }
        for result in run(planned, evidence, repeat=repeat_command(called, options)):
            report(f"{result.check.id} {result.outcome}")
            results.append(result)
        verdict = show_user_paths(replace(conclude(called, results, evidence), size=_measured(evidence)), names)
        if shipped:
            note = "the adapter that came with it fits another model; it was put aside, and one trained here"
            verdict = replace(verdict, notes=(*verdict.notes, note))
    return replace(verdict, seconds=time.perf_counter() - began)


def _measured(evidence: Evidence) -> str:
    try:
        return f"{size_of(evidence)}, projected onto {evidence.named_base}"
    except (Unavailable, Blocked):
        return ""


def _look_at_start(training: Told, python: str) -> None:
    """The agent has to get to the submission at all.

    Raises:
        SubmissionError: the interpreter lacks what a fine-tune needs, or what this one does.
        RuntimeError: the agent broke, which is the harness's fault.
    """
    crash = training.crash("start")
    if crash and crash["type"] in ("ImportError", "ModuleNotFoundError"):
        raise SubmissionError(f"{python}: {crash['message']}; give --python one with torch, transformers and peft")
    lost = re.fullmatch(r"No module named '(\w+)[\w.]*'", (training.crash("train") or {"message": ""})["message"])
    if lost and lost[1] in _FOREIGN:
        raise SubmissionError(f"it needs the module {lost[1]}, which {python} lacks; give --python one that has it")
    if crash:
        raise RuntimeError(f"the agent broke: {crash['type']}: {crash['message']}\n{crash['trace']}")


def _unpack(path: Path, into: Path) -> None:
    if path.suffix != ".py":
        unpack(path, into)
        return
    into.mkdir()
    shutil.copy(path, into)


def conclude(path: str, results: Sequence[Result], evidence: Evidence) -> Verdict:
    """The verdict: broken where a universal check fails, or where answers are lost and no check says why."""
    suspects = suspects_of(results)
    notes = dict.fromkeys((*evidence.training.notes, *evidence.asked.notes, *notes_of(results)))
    if why_not := sandbox.why_not():
        notes[f"not sandboxed: {why_not}"] = None
    coverage = coverage_of(results)
    standing, cause = standing_of(suspects, coverage), cause_of(suspects)
    guilty = {suspect.stage for suspect in suspects if suspect.standing is Standing.BROKEN}
    own = right(evidence.answers(evidence.asked), evidence.questions)
    if guilty:
        if (due := replaced(evidence, guilty)) and not evidence.is_good:
            notes[f"with ours in place of {', '.join(guilty)}: {sum(due)} of {len(due)} right, not {sum(own)}"] = None
    elif lost := unexplained(evidence, results, own):
        standing, cause = Standing.BROKEN, f"{lost} {cause}"
    answer_rate, accuracy = evidence.scores
    if standing is not Standing.BROKEN and accuracy < _TELLING:
        slow = "be it that its settings are slow" if evidence.is_of_own_kind else "as ours are with its settings"
        notes[
            f"its answers are right {accuracy:.0%} of the time, {slow} on this base: what shows in good answers alone "
            "was not seen; try --base smollm2-135m"
        ] = None
    return Verdict(
        path=path,
        standing=standing,
        suspects=suspects,
        cause=cause,
        cleared={stage: measure(stage, evidence) or passed for stage, passed in cleared_of(results).items()},
        notes=tuple(notes),
        sandboxed=not why_not,
        results=tuple(results),
        answer_rate=answer_rate,
        accuracy=accuracy,
        coverage=coverage,
    )


def replaced(evidence: Evidence, stages: Collection[str]) -> list[bool]:
    """Which fresh questions are answered rightly with ours in place of these stages; empty where it cannot be tried."""
    learning = {"tokens", "train", "artifact"}
    if not learning & set(stages):
        return evidence.trained_right if evidence.trained_model is not None else []
    if set(stages) <= learning:
        return right(evidence.answers(evidence.again), evidence.questions) if evidence.again else []
    return evidence.our_right


def unexplained(evidence: Evidence, results: Sequence[Result], own: Sequence[bool]) -> str:
    """What is lost though no check says why; empty where nothing is, or where its settings are merely slow."""
    if evidence.is_good:
        return ""
    slow = any(result.check.id == "TRN-103" and result.outcome is Outcome.ADVICE for result in results)
    if evidence.is_of_own_kind:
        return "" if slow else f"Answers are lost, cause not isolated: {sum(own)} of {len(own)} right."
    due = replaced(evidence, {"train"}) if slow and not evidence.has_learned else []
    given = "the adapter that its training left" if evidence.has_learned else "an adapter of ours"
    if evidence.has_learned and is_better(due := evidence.right_as_asked(evidence.trained_model), own):
        return f"Answers are lost, cause not isolated: {sum(own)} of {len(own)} right, {sum(due)} by ours from {given}."
    if slow and due and evidence.our_right and is_better(ours := evidence.right_as_asked(evidence.ours), due):
        return (
            f"Answers are lost, cause not isolated: given {given}, it answers {sum(due)} of {len(due)} rightly, "
            f"ours {sum(ours)}."
        )
    if not slow and not evidence.has_learned:
        return f"Answers are lost, cause not isolated: {sum(own)} of {len(own)} right."
    return ""


def draw(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """What it trains on, what lies beside as its validation data, and fresh questions that lie nowhere."""
    rows = split_rows("train")
    known = {question for question, _ in rows}
    drawn = (row for row in generate_rows(seed) if row[0] not in known)
    return rows, list(itertools.islice(drawn, 40)), list(itertools.islice(drawn, QUESTIONS))
