"""``sft-ref grade``: its options, and what follows from them. Imports torch only once a grading begins."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.plain import harmless
from sft_ref.console.ranges import Whole
from sft_ref.errors import SftRefError
from sft_ref.harness.core.stages import ADAPTER_STAGES, STAGES, SUBMISSION_STAGES

if TYPE_CHECKING:
    from rich.console import Console

    from sft_ref.harness.core.grade import Grade
    from sft_ref.harness.core.sizes import SizeLimits
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.report.rubric import Rubric

OUTPUT = "grades"
FEW = 3
"""Causes that a table shows well enough; more of them are drawn as well."""

EPILOG = (
    "Exit code: 0 sound or drift (--strict: drift is 1), 4 not shown (a required stage was not examined), 1 broken,"
    " 2 bad input, or a result that cannot be written, 3 the harness broke or could not grade; of several, the gravest,"
    " in this order. Besides, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, and 141 where the reader of"
    " standard output has closed it. Standard input is not read. Of many submissions,"
    " what was graded before and has not changed is not graded again."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``grade``."""
    rubric = Path(__file__).parents[1] / "harness" / "report" / "rubric.toml"
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a submission, or a folder of many, each a folder or a zip; where there is no such path, a NAME as below",
    )
    parser.add_argument(
        "--module",
        metavar="NAME",
        help="in place of PATH: module:object, an implementation or what makes one when called, or reference; it runs"
        " in this process, not sandboxed",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="ID", default=[], help="run these checks only; requires their stages"
    )
    parser.add_argument(
        "--require",
        nargs="+",
        metavar="STAGE",
        default=[],
        choices=sorted({*SUBMISSION_STAGES, *ADAPTER_STAGES}),
        help="exit with 0 if these stages are shown, though others are not (default: all stages of the target's kind)",
    )
    parser.add_argument("--base", help="what answers every hub id of a submission (default: toy), or an adapter's base")
    parser.add_argument(
        "--second-base",
        metavar="BASE",
        help="grade a submission over this base as well, such as toy-wide, and report where it behaves differently",
    )
    parser.add_argument("--prompt", help="how a bare adapter's texts are written: '{question} A: {answer}'")
    parser.add_argument("--data", type=Path, metavar="FILE", help="rows that a bare adapter is asked, JSON or JSONL")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs a submission (this one)")
    parser.add_argument(
        "--seed", type=Whole(0, 2**32 - 1), help="of the questions that a submission is asked (drawn anew)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 on drift as well")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--time-limit",
        type=Whole(1, 86_400),
        metavar="SECONDS",
        help="processor time that one process of a submission gets, per core (default: 240)",
    )
    limits.add_argument(
        "--limit",
        nargs="+",
        metavar="NAME=SIZE",
        default=[],
        help="sizes above which a target is broken: adapter=20MB, bundle=50MB, parameters=380M (default: none)",
    )
    limits.add_argument(
        "--profile", choices=["course"], help="the limits of a course: adapter=20MB bundle=50MB parameters=380M"
    )
    many = parser.add_argument_group("many at once")
    many.add_argument(
        "--jobs", type=Whole(1, 1024), metavar="N", help="submissions at a time (default: half the cores)"
    )
    many.add_argument("--output", metavar="FOLDER", help=f"results, a file a submission (default: {OUTPUT})")
    reports = parser.add_argument_group("reports, besides the terminal's")
    reports.add_argument("--json", type=Path, metavar="FILE", help="as docs/results.md says")
    reports.add_argument("--csv", type=Path, metavar="FILE", help="a line a submission (of many: always in --output)")
    reports.add_argument("--html", type=Path, metavar="FILE", help="one page that needs nothing else")
    reports.add_argument("--junit", type=Path, metavar="FILE", help="XML as CI systems read it")
    reports.add_argument(
        "--save-evidence",
        type=Path,
        metavar="FILE",
        help="what was observed of a target, as NAME.safetensors; `sft-ref grade NAME.safetensors` checks it again",
    )
    reports.add_argument("--gradescope", type=Path, metavar="FILE", help="results.json of one submission")
    reports.add_argument("--rubric", type=Path, metavar="FILE", help=f"its points, in TOML (default: {rubric})")


def grade_one(
    target: str,
    *,
    is_module: bool = False,
    only: Sequence[str] = (),
    base: str | None = None,
    second_base: str | None = None,
    prompt: str | None = None,
    data: Path | None = None,
    python: str = sys.executable,
    seed: int | None = None,
    time_limit: float | None = None,
    sizes: SizeLimits | None = None,
    save_evidence: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on one target.

    Args:
        target: as it was asked for.
        is_module: whether it is the name of an implementation even where a path of that name exists.
        only: ids of checks, and none else.
        base: the model that stands for every one that the target names: the toy, or an adapter's own, if not said.
        second_base: another one, over which a submission is graded as well; what differs is reported.
        prompt: how a bare adapter's texts are written, with ``{question}`` and ``{answer}`` in it.
        data: rows that a bare adapter is asked.
        python: the interpreter that runs a submission.
        seed: of the questions that a submission is asked; None draws one.
        time_limit: processor seconds per core that one process of a submission gets; None is the default.
        sizes: limits of size; None is no limit.
        save_evidence: file that the evidence of an adapter or a submission is written to; None writes none.
        report: called with what goes on, in a few words.

    Raises:
        SftRefError: there is nothing that can be graded.
    """
    from sft_ref.console.quiet import quiet
    from sft_ref.harness.core.sizes import UNLIMITED

    quiet()
    sizes = sizes or UNLIMITED
    if _runs_here(target, is_module=is_module):
        from sft_ref.harness.grading.contract import grade_target

        if save_evidence:
            raise SftRefError("--save-evidence: is for an adapter or a submission; leave it out")
        return grade_target(target, only=only, sizes=sizes, report=report)
    from sft_ref.harness.grading.kinds import find_kind

    kind, path = find_kind(target)
    if kind == "adapter":
        from sft_ref.harness.grading.folder import grade_adapter

        return grade_adapter(
            path,
            target,
            base=base,
            prompt=prompt,
            data=data,
            only=only,
            sizes=sizes,
            save_evidence=save_evidence,
            report=report,
        )
    if kind == "evidence":
        from sft_ref.harness.grading.saved import grade_evidence

        if save_evidence:
            raise SftRefError(f"--save-evidence: {target} is saved evidence already; leave it out")
        return grade_evidence(path, target, only=only, sizes=sizes, report=report)
    from sft_ref.harness.grading.judge import grade_submission
    from sft_ref.harness.verdict.two_bases import compare_bases

    def grade_over(name: str) -> Verdict:
        return grade_submission(
            path,
            target,
            base=name,
            python=python,
            seed=seed,
            only=only,
            time_limit=time_limit,
            sizes=sizes,
            save_evidence=save_evidence,
            report=report,
        )

    if save_evidence and second_base:
        raise SftRefError("--save-evidence: holds the evidence over one base; leave out --second-base")
    bases = [base or "toy", *([second_base] if second_base else [])]
    first, *others = map(grade_over, bases)
    return compare_bases(first, others[0], (bases[0], bases[1])) if others else first


def _runs_here(target: str, *, is_module: bool) -> bool:
    """Whether a target is the name of an implementation, whose code runs in this process."""
    return is_module or (not Path(target).exists() and (target == "reference" or ":" in target))


def run(args: argparse.Namespace) -> int:
    """Grades, shows, writes the reports asked for, and gives the exit code."""
    from rich.console import Console

    from sft_ref.harness.core.grade import exit_code
    from sft_ref.harness.grading.targets import Targets, find_targets
    from sft_ref.io.locking import only_one

    if bool(args.paths) == (args.module is not None):
        raise SftRefError("give the PATH of what is to be graded, or --module NAME, and not both")
    if args.module is not None and args.output is not None:
        raise SftRefError("--output: is for the submissions of a class, and --module names one implementation")
    found = find_targets(args.paths) if args.paths else Targets((args.module,), ())
    ours = Path(args.output or OUTPUT).resolve()  # lies among the submissions, where it was started there
    targets = [target for target in found.targets if args.module or Path(target).resolve() != ours]
    if not targets:
        raise SftRefError(f"{ours.name}: is where results are written, and no submission; give another --output")
    several = len(targets) > 1 or args.output is not None
    _check_evidence_file(args.save_evidence, several=several)
    rubric = _rubric(args, len(targets))
    sizes = _size_limits(args, rubric)
    write = _reports(args, rubric)
    console = Console()
    for name in found.skipped:
        console.print(f"skipped, not a submission: {harmless(name)}", markup=False, highlight=False, soft_wrap=True)
    grade = functools.partial(
        grade_one,
        is_module=args.module is not None,
        only=tuple(args.only),
        base=args.base,
        second_base=args.second_base,
        prompt=args.prompt,
        data=args.data,
        python=args.python,
        seed=args.seed,
        time_limit=args.time_limit,
        sizes=sizes,
        save_evidence=args.save_evidence,
    )
    if several:
        with only_one(Path(args.output or OUTPUT), "give another --output"):
            grades = _grade_class(targets, grade, args, console, write)
    else:
        grades = [_grade_alone(targets[0], grade, args)]
        write(grades)  # first: the terminal may be gone
        _show_or_refuse(grades[0], console)
    return exit_code(grades, strict=args.strict, require=args.require or _stages_of(args.only))


def _check_evidence_file(path: Path | None, *, several: bool) -> None:
    """Refuses a file of evidence that cannot be written, or graded again, before anything is graded."""
    from sft_ref.io.atomic_write import check_writable

    if path is None:
        return
    if several:
        raise SftRefError("--save-evidence: holds the evidence of one target; grade one")
    if path.suffix != ".safetensors":
        raise SftRefError(f"--save-evidence {path}: is not named as evidence is; give a name that ends in .safetensors")
    check_writable(path)


def _stages_of(ids: Sequence[str]) -> set[str]:
    """The stages of checks; with `--only` no other is required."""
    return {STAGES[each[:3]] for each in ids}


def _size_limits(args: argparse.Namespace, rubric: Rubric | None) -> SizeLimits:
    """Those of the profile, of the rubric, and of `--limit`, the later ones in place of the earlier."""
    from sft_ref.harness.core.sizes import COURSE, UNLIMITED, read_limits

    limits = COURSE if args.profile == "course" else UNLIMITED
    return read_limits([*(rubric.limits if rubric else ()), *args.limit], limits)


def _show_or_refuse(grade: Grade, console: Console) -> None:
    """The whole report; bad input is one line on the error stream, as of every other command."""
    from sft_ref.harness.core.grade import BAD_INPUT, NotGraded
    from sft_ref.harness.report.terminal import show_grade

    if isinstance(grade, NotGraded) and grade.code == BAD_INPUT:
        raise SftRefError(grade.reason)
    show_grade(grade, console)


def _rubric(args: argparse.Namespace, submissions: int) -> Rubric | None:
    """The rubric that gives points; None where no points are asked for.

    Raises:
        SftRefError: the rubric cannot be used.
    """
    from sft_ref.harness.report.rubric import DEFAULT, read_rubric

    if args.gradescope and submissions > 1:
        raise SftRefError(f"--gradescope: holds one submission's results, and {submissions} are given; grade one")
    if args.rubric and not args.gradescope:
        raise SftRefError("--rubric: only --gradescope gives points; give it a file as well")
    return read_rubric(args.rubric or DEFAULT, _check_ids) if args.gradescope else None


def _check_ids() -> Mapping[str, str]:
    """The id of each check by every name that it has; imports torch."""
    from sft_ref.harness.checks.registry import IDS

    return IDS


def _reports(args: argparse.Namespace, rubric: Rubric | None) -> Callable[[Sequence[Grade]], None]:
    """What writes the reports; all that can be wrong with them is found now.

    Raises:
        SftRefError: a file cannot be written.
    """
    from sft_ref.harness.report import files, gradescope, html
    from sft_ref.io.atomic_write import check_writable

    writers: list[tuple[Path | None, Callable[[Sequence[Grade], Path], None]]] = [
        (args.json, files.write_json),
        (args.csv, files.write_csv),
        (args.html, html.write_html),
        (args.junit, _write_junit),
    ]
    if rubric:
        writers.append((args.gradescope, lambda grades, path: gradescope.write_gradescope(grades[0], rubric, path)))
    for path, _ in writers:
        if path:
            check_writable(path)

    def write(grades: Sequence[Grade]) -> None:
        failures: list[Exception] = []
        for path, writer in writers:
            try:
                if path:
                    writer(grades, path)
            except Exception as failure:  # noqa: BLE001  # one report that fails must not cost the others
                failures.append(failure)
        if failures:
            raise failures[0]

    return write


def _write_junit(grades: Sequence[Grade], path: Path) -> None:
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.report.junit import write_junit

    verdicts = [grade for grade in grades if isinstance(grade, Verdict)]
    errors = {grade.path: (grade.reason,) for grade in grades if not isinstance(grade, Verdict)}
    results = {grade.path: grade.results for grade in verdicts} | dict.fromkeys(errors, ())
    write_junit(results, path, errors | {grade.path: grade.errors for grade in verdicts})


def _grade_alone(target: str, grade: functools.partial[Verdict], args: argparse.Namespace) -> Grade:
    """Grades one target: an implementation in this process, files in a process with limits."""
    from rich.console import Console
    from rich.text import Text

    from sft_ref.harness.grading.worker import grade_alone, grade_or_reason

    with Console(stderr=True).status("grading") as status:

        def report(text: str) -> None:
            status.update(Text(harmless(text)))

        try:
            if _runs_here(target, is_module=bool(args.module)):
                return grade_or_reason(functools.partial(grade, report=report), target)
            return grade_alone(target, grade, report, _own_seconds(args))
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # a training of ours says where to go on, and a grading begins anew


def _own_seconds(args: argparse.Namespace) -> float:
    """Processor seconds per core that the harness's own process may use for one target."""
    from sft_ref.harness.grading.worker import SECONDS

    return max(SECONDS, 5 * (args.time_limit or 0))


def _grade_class(
    targets: Sequence[str],
    grade: functools.partial[Verdict],
    args: argparse.Namespace,
    console: Console,
    write: Callable[[Sequence[Grade]], None],
) -> list[Grade]:
    """Grades many, shows a row each as it finishes and the class at the end, and writes the tables and reports.

    Raises:
        KeyboardInterrupt: says how many are graded; the same command goes on from there.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sft_ref.harness.grading.batch import count_cores, grade_batch
    from sft_ref.harness.grading.cache import content_of
    from sft_ref.harness.report.causes import count_causes
    from sft_ref.harness.report.chart import plot_causes
    from sft_ref.harness.report.classroom import show_class, show_row
    from sft_ref.harness.report.files import write_csv

    folder = Path(args.output or OUTPUT)
    grader = f"{content_of(str(Path(__file__).parents[1]))} {grade.keywords}"  # this code, and its options
    done: dict[str, Grade] = {}
    bar = Progress(
        TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
        disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    jobs = args.jobs or max(1, count_cores() // 2)
    finishing = grade_batch(targets, grade, folder / "results", jobs=jobs, grader=grader, seconds=_own_seconds(args))
    try:
        with bar, contextlib.closing(finishing):
            task = bar.add_task("", total=len(targets))
            for each in finishing:
                done[each.target] = each.grade
                show_row(each.grade, console, from_cache=each.from_cache)
                bar.advance(task)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped with {len(done)} of {len(targets)} graded, in {folder}") from None
    finally:
        grades = [done[target] for target in targets if target in done]
        if grades:
            write_csv(grades, folder / "grades.csv")
    write(grades)
    causes = count_causes(grades)
    if len(causes) > FEW:
        plot_causes(causes, len(grades), folder / "causes.png")
    console.print()
    show_class(grades, console)
    console.print(f"written: {harmless(str(folder))}", markup=False, highlight=False, soft_wrap=True)
    return grades
