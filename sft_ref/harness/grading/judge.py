"""Grades one submission: unpacks it, records evidence, runs the checks on the evidence, and returns the verdict."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from sft_ref.errors import BaseModelError, SubmissionError
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.checks.submission import CHECKS
from sft_ref.harness.core.check import Check
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import Evidence, storage
from sft_ref.harness.isolation import hub
from sft_ref.harness.isolation.sandbox import Limits
from sft_ref.harness.isolation.unpack import unpack
from sft_ref.harness.recorders.submission.layout import find_layout
from sft_ref.harness.recorders.submission.recorder import record
from sft_ref.harness.recorders.submission.workplace import Workplace
from sft_ref.harness.report.user_paths import SCRATCH, errors_with_user_paths, show_user_paths
from sft_ref.harness.verdict.diagnosis import decide_survival, error_of, verdict_of
from sft_ref.harness.verdict.submission import conclude
from sft_ref.io import plain_files
from sft_ref.io.base_config import CONFIG, WEIGHTS
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
"""Name of the folder that a submission is unpacked to: the course's package name, for files submitted without it."""
_LARGEST = 2**26
"""Maximum size in bytes of a module submitted as a single file."""
LIMITS = Limits(seconds=240)
"""Limits for one process of a submission, in processor seconds; its training is stopped from outside long before."""


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
    save_evidence: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Runs a submission in a sandbox and returns its verdict.

    Args:
        path: folder, zip or module file to grade; it is copied, never modified.
        called: the target's name as the user typed it.
        base: base model that replaces every hub id named by the submission.
        python: path of the interpreter that runs the submission.
        seed: seed for the generated questions; None draws one at random.
        only: ids of the checks to run; empty runs all.
        time_limit: processor seconds per core for each process of the submission; None uses those of `limits`.
        limits: resource limits for each process of the submission.
        sizes: size limits; unlimited by default.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SubmissionError: the target contains nothing that can be graded.
        BaseModelError: the base model cannot be used.
        MachineError: the machine stopped the run; the submission is not at fault.
        OutputError: the evidence cannot be written.
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
        if layout.package == code:  # then paths from the working folder begin with the name of the scratch package
            names[f"{_PACKAGE}/"] = f"{Path(called).name}/"
        cache = folder / "hub"
        hub.make_hub(cache, model, hub.ids_in(code))
        if time_limit is not None:
            limits = replace(limits, seconds=time_limit)
        workplace = Workplace(folder / "work", layout, model, cache, python, limits, called)
        rows, unseen, questions = draw(drawn)
        shipped = workplace.install_data(rows, unseen)
        evidence = record(workplace, rows, unseen, questions, drawn, limits=sizes, user_paths=names)
        if shipped:
            note = "the submitted adapter fits another model; it was not used, and a new one was trained here"
            evidence = replace(evidence, notes=(*evidence.notes, note))
    options = {
        "base": None if base == "toy" else base,
        "python": None if python == sys.executable else python,
        "seed": drawn,
        "time-limit": time_limit,
        "limit": sizes.words,
    }
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    verdict = judge(evidence, called, planned, rerun=rerun_command(called, options), report=report)
    return replace(verdict, seconds=time.perf_counter() - began)


def judge(
    evidence: Evidence,
    called: str,
    planned: Iterable[Check],
    *,
    rerun: str,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Runs the checks on evidence and returns the verdict.

    Args:
        evidence: evidence recorded from a submission.
        called: the target's name as the user typed it.
        planned: the checks to run.
        rerun: command that grades the same target again.
        report: callback for the id and outcome of each check as it finishes.
    """
    results = run_all(planned, evidence, rerun=rerun, report=report)
    results = decide_survival(results, answers_survive=evidence.answers_survive)
    try:
        verdict = conclude(called, results, evidence)
    except Exception as error:  # noqa: BLE001  # an error of the harness, never a fault of the submission
        errors = (error_of("deriving the verdict from the checks", error),)
        verdict = verdict_of(results, called, notes=evidence.notes, errors=errors)
        verdict = replace(verdict, sandboxed=evidence.is_sandboxed)
    return show_user_paths(verdict, evidence.user_paths)


class _BaseConfig(msgspec.Struct):
    """The settings of a base model that the agent needs."""

    architectures: Annotated[list[str], Meta(min_length=1)]
    vocab_size: Annotated[int, Meta(ge=1)]


def _check_base(folder: Path) -> None:
    """Refuses an unusable base model, before its failure looks like a fault of a submission or of the harness.

    Raises:
        BaseModelError: the base cannot be loaded, or lacks settings that the agent needs.
    """
    read_json(folder / CONFIG, _BaseConfig, Refusal(BaseModelError, "give the folder of a model"))
    if kind_of(folder / WEIGHTS) != "file":
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
            raise SubmissionError(
                f"{path}: is larger than {_LARGEST} bytes, too large for a module; give a module's file"
            )
        (into / path.name).write_bytes(text)
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error}); give a module's file") from error


def draw(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Draws the training rows, the rows supplied as validation data, and fresh questions that are in no file."""
    rows = split_rows("train")
    known = {question for question, _ in rows}
    drawn = (row for row in generate_rows(seed) if row[0] not in known)
    return rows, list(itertools.islice(drawn, 40)), list(itertools.islice(drawn, QUESTIONS))
