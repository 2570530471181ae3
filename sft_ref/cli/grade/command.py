"""``sft-ref grade``. Imports torch only when a grading begins."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.streams import no_input
from sft_ref.errors import SftRefError
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.grading.target import grade_one, runs_here

from .options import OUTPUT
from .reports import check_evidence_file, find_rubric, report_writer
from .submissions import grade_class

if TYPE_CHECKING:
    from rich.console import Console

    from sft_ref.harness.core.grade import Grade
    from sft_ref.harness.core.sizes import SizeLimits
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.grading.batch import GradeAll
    from sft_ref.harness.report.rubric import Rubric


def run(args: argparse.Namespace) -> int:
    """Grades the targets, prints the verdicts, writes the requested reports and returns the exit code."""
    with no_input():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from sft_ref.harness.core.grade import exit_code
    from sft_ref.harness.grading.batch import count_cores
    from sft_ref.harness.grading.targets import Targets, find_targets
    from sft_ref.io.locking import lock_folder

    if bool(args.paths) == (args.module is not None):
        raise SftRefError("give the PATH of a target, or --module NAME, and not both")
    if args.module is not None and args.output is not None:
        raise SftRefError(
            "--output: is for the submissions of a class, and --module names one implementation; leave --output out"
        )
    if args.judge is not None and args.data is None:
        raise SftRefError("--judge: judges answers to rows; give --data as well")
    found = find_targets(args.paths) if args.paths else Targets((args.module,), ())
    ours = Path(args.output or OUTPUT).resolve()  # is among the submissions if the command was started in their folder
    targets = [target for target in found.targets if args.module or Path(target).resolve() != ours]
    if not targets:
        raise SftRefError(f"{ours.name}: is the folder of results, not a submission; give another --output")
    several = len(targets) > 1 or args.output is not None or args.ray is not None
    check_evidence_file(args.save_evidence, several=several)
    rubric = find_rubric(args, len(targets))
    sizes = _size_limits(args, rubric)
    write = report_writer(args, rubric)
    console = Console()
    for name in found.skipped:
        console.print(f"skipped, not a submission: {printable(name)}", markup=False, highlight=False, soft_wrap=True)
    grade = functools.partial(
        grade_one,
        is_module=args.module is not None,
        only=tuple(args.only),
        base=args.base,
        second_base=args.second_base,
        prompt=args.prompt,
        chat_template=args.chat_template,
        labels=args.labels,
        max_length=args.max_length,
        data=args.data,
        judge=args.judge,
        adapter=args.adapter,
        python=args.python,
        seed=args.seed,
        time_limit=args.time_limit,
        sizes=sizes,
        save_evidence=args.save_evidence,
    )
    if several:
        folder = Path(args.output or OUTPUT)
        grade_all = _cluster_grading(targets, grade, args) if args.ray is not None else None
        with lock_folder(folder, "give another --output"):
            jobs = args.jobs or max(1, count_cores() // 2)
            seconds = _own_seconds(args)
            grades = grade_class(targets, grade, folder, write, jobs=jobs, seconds=seconds, grade_all=grade_all)
    else:
        grades = [_grade_alone(targets[0], grade, args)]
        write(grades)  # first, because the terminal may be closed
        _show_or_refuse(grades[0], console)
    return exit_code(grades, strict=args.strict, require=args.require or _stages_of(args.only))


def _cluster_grading(targets: Sequence[str], grade: functools.partial[Verdict], args: argparse.Namespace) -> GradeAll:
    """Returns the function that grades on the cluster of ``--ray`` instead of on this machine's workers.

    Raises:
        SftRefError: a target or an option works on this machine only.
    """
    from sft_ref.harness.grading.cluster import grade_on_cluster, read_options

    options = read_options(targets, grade.keywords)
    there = functools.partial(grade.func, **options.keywords)

    def grade_all(missing: Sequence[str], _here: object) -> Iterator[tuple[str, Grade]]:
        return grade_on_cluster(
            missing, there, address=args.ray, seconds=_own_seconds(args), digests=options.digests, most=args.jobs
        )

    return grade_all


def _stages_of(ids: Sequence[str]) -> set[str]:
    """Returns the stages of checks; with `--only`, no other stage is required."""
    return {STAGES[each[:3]] for each in ids}


def _size_limits(args: argparse.Namespace, rubric: Rubric | None) -> SizeLimits:
    """Returns the limits of the profile, the rubric and `--limit`, of which later ones replace earlier ones."""
    from sft_ref.harness.core.sizes import COURSE, UNLIMITED, read_limits

    limits = COURSE if args.profile == "course" else UNLIMITED
    return read_limits([*(rubric.limits if rubric else ()), *args.limit], limits)


def _show_or_refuse(grade: Grade, console: Console) -> None:
    """Prints the whole report; raises on bad input, which becomes one line on standard error as in every command."""
    from sft_ref.harness.core.grade import BAD_INPUT, NotGraded
    from sft_ref.harness.report.terminal import show_grade

    if isinstance(grade, NotGraded) and grade.code == BAD_INPUT:
        raise SftRefError(grade.reason)
    show_grade(grade, console)


def _grade_alone(target: str, grade: functools.partial[Verdict], args: argparse.Namespace) -> Grade:
    """Grades one target: an implementation in this process, files in a process with limits."""
    from rich.console import Console
    from rich.text import Text

    from sft_ref.harness.grading.worker import grade_alone, grade_or_reason

    with Console(stderr=True).status("grading") as status:

        def report(text: str) -> None:
            status.update(Text(printable(text)))

        try:
            if runs_here(target, is_module=bool(args.module)):
                return grade_or_reason(functools.partial(grade, report=report), target)
            return grade_alone(target, grade, report, _own_seconds(args))
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # drops the hint of our own training on how to resume: a grading restarts


def _own_seconds(args: argparse.Namespace) -> float:
    """Returns the processor seconds per core that the harness's own process may use for one target."""
    from sft_ref.harness.grading.worker import SECONDS

    return max(SECONDS, 5 * (args.time_limit or 0))
