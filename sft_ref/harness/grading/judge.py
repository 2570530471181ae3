"""Grades one submission: unpacks it, furnishes it, runs the checks, and draws the conclusion."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from sft_ref.errors import BaseModelError, MachineError, MissingModuleError, SubmissionError
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.submission import CHECKS
from sft_ref.harness.checks.submission.artifact import size_of
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.findings import Blocked, Unavailable
from sft_ref.harness.core.runner import plan, run
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.instruments.answering import TELLING, is_better, right
from sft_ref.harness.isolation import hub, sandbox
from sft_ref.harness.isolation.sandbox import Limits
from sft_ref.harness.isolation.unpack import unpack
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.layout import find_layout
from sft_ref.harness.recorders.submission.workplace import Told, Workplace
from sft_ref.harness.report.user_paths import SCRATCH, errors_with_user_paths, show_user_paths
from sft_ref.harness.verdict.diagnosis import (
    cause_of,
    cleared_of,
    coverage_of,
    error_of,
    notes_of,
    status_of,
    suspects_of,
    verdict_of,
)
from sft_ref.harness.verdict.measures import measure
from sft_ref.io import plain_files
from sft_ref.io.reading import Refusal, kind_of, read_json
from sft_ref.reference.bases.checks import check_vocabulary
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.data import Row, split_rows
from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.questions import generate_rows

from .rerun import rerun_command

QUESTIONS = 64
_PACKAGE = "homework"
"""Name of the folder that a submission is unpacked into: the course's package, where its files are handed in alone."""
_LARGEST = 2**26
"""Bytes of a module that is handed in by itself."""
LIMITS = Limits(seconds=240)
"""For one process of a submission, in seconds of processor time; its training is stopped from outside long before."""


def grade_submission(
    path: Path,
    called: str,
    *,
    base: str = "toy",
    python: str = sys.executable,
    seed: int | None = None,
    only: Sequence[str] = (),
    time_limit: float | None = None,
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
        time_limit: processor seconds per core that each of its processes gets; those of `limits` where none is given.
        limits: of each of its processes.
        sizes: limits of size; they bind only where they are given.
        report: told the id and outcome of each check as it ends.

    Raises:
        SubmissionError: there is nothing that can be graded.
        BaseModelError: the base cannot be used.
        MachineError: the machine kept it from its end, which is not held against it.
    """
    began = time.perf_counter()
    only = resolve_ids(only)
    drawn = random.SystemRandom().randrange(10**6) if seed is None else seed
    planned = plan(CHECKS, claims_contract=True, only=only)
    model = find_base(base).resolve()
    _check_base(model)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(plain_files.scratch_folder())
        code = folder / "work" / "code" / _PACKAGE
        names = {str(code): called, str(folder): SCRATCH}
        stack.enter_context(errors_with_user_paths(names))
        code.parent.mkdir(parents=True)
        _unpack(path, code)
        layout = find_layout(code)
        if layout.package == code:  # then paths from the working folder begin with a name of ours
            names[f"{_PACKAGE}/"] = f"{Path(called).name}/"
        cache = folder / "hub"
        hub.make_hub(cache, model, hub.ids_in(code))
        if time_limit is not None:
            limits = replace(limits, seconds=time_limit)
        workplace = Workplace(folder / "work", layout, model, cache, python, limits, called)
        rows, unseen, questions = draw(drawn)
        shipped = workplace.furnish(rows, unseen)
        evidence = Evidence(workplace, rows, unseen, questions, drawn, limits=sizes)
        _look_at_start(evidence.training, python)
        results = []
        options = {
            "base": None if base == "toy" else base,
            "python": None if python == sys.executable else python,
            "seed": drawn,
            "time-limit": time_limit,
            "limit": sizes.words,
        }
        for result in run(planned, evidence, rerun=rerun_command(called, options)):
            report(f"{result.check.id} {result.outcome}")
            results.append(result)
        verdict = show_user_paths(_conclude_or_say(called, results, evidence), names)
        if shipped:
            note = "the adapter that came with it fits another model; it was put aside, and one trained here"
            verdict = replace(verdict, notes=(*verdict.notes, note))
    return replace(verdict, seconds=time.perf_counter() - began)


def _conclude_or_say(path: str, results: Sequence[Result], evidence: Evidence) -> Verdict:
    """The verdict with all that follows from the checks, or, where that breaks, by the checks alone."""
    why_not = sandbox.why_not()
    try:
        return replace(conclude(path, results, evidence), size=_measured(evidence))
    except (MachineError, MissingModuleError):  # nothing can be graded
        raise
    except Exception as error:  # noqa: BLE001  # of the harness, never held against the submission
        notes = (f"not sandboxed: {why_not}",) if why_not else ()
        verdict = verdict_of(results, path, notes=notes, errors=(error_of("what follows from the checks", error),))
        return replace(verdict, sandboxed=not why_not)


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
    if crash:
        raise RuntimeError(f"the agent broke: {crash['type']}: {crash['message']}\n{crash['trace']}")


class _BaseConfig(msgspec.Struct):
    """What the agent is told of a base."""

    architectures: Annotated[list[str], Meta(min_length=1)]
    vocab_size: Annotated[int, Meta(ge=1)]


def _check_base(folder: Path) -> None:
    """Refuses a base over which nothing can be graded, before it is held against a submission, or the harness.

    Raises:
        BaseModelError: it cannot be loaded, or lacks what the agent is told of it.
    """
    read_json(folder / "config.json", _BaseConfig, Refusal(BaseModelError, "give the folder of a model"))
    if kind_of(folder / "model.safetensors") != "file":
        raise BaseModelError(f"base {folder}: holds no model.safetensors; save it in one file to grade over it")
    check_vocabulary(load_tokenizer(folder), load_model(folder, POLICIES["fp32"]), folder)


def _unpack(path: Path, into: Path) -> None:
    if path.suffix != ".py" or path.is_dir():
        unpack(path, into)
        return
    into.mkdir()
    try:
        with plain_files.open_file(path.parent, (path.name,)) as source:
            text = source.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise SubmissionError(f"{path}: is larger than {_LARGEST} bytes, and no module is; give a module's file")
        (into / path.name).write_bytes(text)
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error}); give a module's file") from error


def conclude(path: str, results: Sequence[Result], evidence: Evidence) -> Verdict:
    """The verdict: broken where a universal check fails, or where answers are lost and no check says why."""
    suspects = suspects_of(results)
    notes = dict.fromkeys((*evidence.training.notes, *evidence.asked.notes, *evidence.left_out, *notes_of(results)))
    if why_not := sandbox.why_not():
        notes[f"not sandboxed: {why_not}"] = None
    notes |= dict.fromkeys(sandbox.gaps())
    coverage = coverage_of(results)
    broke = any(result.outcome is Outcome.ERROR for result in results)
    status, cause = status_of(suspects, coverage, broke=broke), cause_of(suspects)
    guilty = {suspect.stage for suspect in suspects if suspect.status is Status.BROKEN}
    own = right(evidence.answers(evidence.asked), evidence.questions)
    if guilty:
        if (due := replaced(evidence, guilty)) and is_better(due, own):
            notes[f"with ours in place of {', '.join(guilty)}: {sum(due)} of {len(due)} right, not {sum(own)}"] = None
    elif lost := unexplained(evidence, results, own):
        status, cause = Status.BROKEN, f"{lost} {cause}"
    answer_rate, accuracy = evidence.scores
    if status is not Status.BROKEN and accuracy < TELLING:
        notes[f"its answers are right {accuracy:.0%} of the time: {_why_few(evidence, results)}"] = None
    return Verdict(
        path=path,
        status=status,
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


def _why_few(evidence: Evidence, results: Sequence[Result]) -> str:
    """Why answers that are hardly ever right are no fault by themselves."""
    if not is_slow(results):
        return "nothing shows whether its training or its pipeline loses them"
    if evidence.is_of_own_kind:
        return "its training has taught little so far; losses and scripted generations were compared instead"
    return "ours trained on the same batches knows no more; losses and scripted generations were compared instead"


def is_slow(results: Sequence[Result]) -> bool:
    """Whether training was found to teach as much as ours on the same batches, and that is little."""
    return any(result.check.id == "TRN-103" and result.outcome is Outcome.ADVICE for result in results)


def unexplained(evidence: Evidence, results: Sequence[Result], own: Sequence[bool]) -> str:
    """What is lost though no check says why; empty where nothing is, or where nothing shows that anything is."""
    if evidence.is_good:
        return ""
    lost = f"Answers are lost, cause not isolated: {sum(own)} of {len(own)} right"
    slow = is_slow(results)
    if evidence.is_of_own_kind:
        return f"{lost}." if evidence.has_learned and not slow else ""
    for due, asked in (
        (evidence.right_as_asked(evidence.trained_model), "the prompts that it sends"),
        (evidence.right_as_trained, "its training prompts"),
    ):
        if is_better(due, own):
            return f"{lost}, {sum(due)} by ours from the adapter that its training left, asked with {asked}."
    if slow and not evidence.has_learned and (again := replaced(evidence, {"train"})) and evidence.our_right:
        ours = evidence.right_as_asked(evidence.ours)
        if is_better(ours, again):
            return (
                "Answers are lost, cause not isolated: given an adapter of ours, it answers "
                f"{sum(again)} of {len(again)} rightly, ours {sum(ours)}."
            )
    return ""


def draw(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """What it trains on, what lies beside as its validation data, and fresh questions that lie nowhere."""
    rows = split_rows("train")
    known = {question for question, _ in rows}
    drawn = (row for row in generate_rows(seed) if row[0] not in known)
    return rows, list(itertools.islice(drawn, 40)), list(itertools.islice(drawn, QUESTIONS))
