"""``sft-ref grade``: its options, and what follows from them. Imports torch only once a grading begins."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.ranges import Whole
from sft_ref.console.streams import no_input
from sft_ref.errors import SftRefError
from sft_ref.harness.core.stages import ADAPTER_STAGES, STAGES, SUBMISSION_STAGES
from sft_ref.harness.grading.target import grade_one, runs_here

from .grade_class import grade_class
from .grade_reports import find_rubric, report_writer

if TYPE_CHECKING:
    from rich.console import Console

    from sft_ref.harness.core.graded import Grade
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.instruments.sizes import SizeLimits
    from sft_ref.harness.report.rubric import Rubric

OUTPUT = "grades"
HELP = "sound, drift or broken; at which stage, why, and how to mend it"
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
    reports.add_argument("--gradescope", type=Path, metavar="FILE", help="results.json of one submission")
    reports.add_argument("--rubric", type=Path, metavar="FILE", help=f"its points, in TOML (default: {rubric})")


def run(args: argparse.Namespace) -> int:
    """Grades, shows, writes the reports asked for, and gives the exit code."""
    with no_input():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from sft_ref.harness.core.graded import exit_code
    from sft_ref.harness.grading.gather import Gathered, gather
    from sft_ref.io.locking import only_one

    if bool(args.paths) == (args.module is not None):
        raise SftRefError("give the PATH of what is to be graded, or --module NAME, and not both")
    if args.module is not None and args.output is not None:
        raise SftRefError("--output: is for the submissions of a class, and --module names one implementation")
    gathered = gather(args.paths) if args.paths else Gathered((args.module,), ())
    ours = Path(args.output or OUTPUT).resolve()  # lies among the submissions, where it was started there
    targets = [target for target in gathered.targets if args.module or Path(target).resolve() != ours]
    if not targets:
        raise SftRefError(f"{ours.name}: is where results are written, and no submission; give another --output")
    several = len(targets) > 1 or args.output is not None
    rubric = find_rubric(args, len(targets))
    sizes = _size_limits(args, rubric)
    write = report_writer(args, rubric)
    console = Console()
    for name in gathered.passed_over:
        console.print(f"passed over, no submission: {printable(name)}", markup=False, highlight=False, soft_wrap=True)
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
    )
    if several:
        folder = Path(args.output or OUTPUT)
        with only_one(folder, "give another --output"):
            grades = grade_class(targets, grade, folder, console, write, jobs=args.jobs, seconds=_own_seconds(args))
    else:
        grades = [_grade_alone(targets[0], grade, args)]
        write(grades)  # first: the terminal may be gone
        _show_or_refuse(grades[0], console)
    return exit_code(grades, strict=args.strict, require=args.require or _stages_of(args.only))


def _stages_of(ids: Sequence[str]) -> set[str]:
    """The stages of checks; with `--only` no other is required."""
    return {STAGES[each[:3]] for each in ids}


def _size_limits(args: argparse.Namespace, rubric: Rubric | None) -> SizeLimits:
    """Those of the profile, of the rubric, and of `--limit`, the later ones in place of the earlier."""
    from sft_ref.harness.instruments.sizes import COURSE, UNLIMITED, read_limits

    limits = COURSE if args.profile == "course" else UNLIMITED
    return read_limits([*(rubric.limits if rubric else ()), *args.limit], limits)


def _show_or_refuse(grade: Grade, console: Console) -> None:
    """The whole report; bad input is one line on the error stream, as of every other command."""
    from sft_ref.harness.core.graded import BAD_INPUT, Ungraded
    from sft_ref.harness.report.terminal import show_grade

    if isinstance(grade, Ungraded) and grade.code == BAD_INPUT:
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
            raise KeyboardInterrupt from None  # a training of ours says where to go on, and a grading begins anew


def _own_seconds(args: argparse.Namespace) -> float:
    """Processor seconds per core that the harness's own process may use for one target."""
    from sft_ref.harness.grading.worker import SECONDS

    return max(SECONDS, 5 * (args.time_limit or 0))
