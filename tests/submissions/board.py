"""The scoreboard of the corpus: grades submissions whose verdict is known, a row each.

`python tests/submissions/board.py [NAME ...] [--part N] [--repeat N] [--jobs N] [--json FILE] [--python PYTHON]`; the
last line is the score, the exit code 1 where anything is missed. Each grading draws fresh questions. With --golden
all draw the same ones, and the exit code is 1 where a row is another than in the file of golden results.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers")]
import golden
from build import SUBMISSIONS, Submission, build

from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.grade import Grade, NotGraded
from sft_ref.harness.core.sizes import COURSE, UNLIMITED
from sft_ref.harness.grading.batch import grade_batch
from sft_ref.harness.grading.target import grade_one

GOLDEN_SEED = 0
"""Of the questions of a run that is compared with golden results."""


@dataclass(frozen=True)
class Row:
    """One grading: whether the verdict is right, and of a broken one whether all stages named are at fault.

    Attributes:
        check: id of the first that failed.
        graded: whether there is a verdict, and nothing broke in the harness.
    """

    name: str
    due: str
    verdict: str
    stages: tuple[str, ...]
    at_fault: tuple[str, ...]
    found: bool
    right: bool
    accuracy: float | None
    seconds: float
    cause: str
    check: str = ""
    graded: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the board."""
    parser = _parser()
    args = parser.parse_args(argv)
    path = Path(__file__).parents[1] / golden.FILE
    try:
        kept = golden.read(path, args)
    except SftRefError as error:
        parser.error(str(error))
    if unknown := set(args.names) - {each.name for each in SUBMISSIONS}:
        parser.error(f"no submission named {', '.join(sorted(unknown))}")
    chosen = _choose(args.names, part=args.part)
    began, rows = time.perf_counter(), []
    for row in judge(chosen, args, None if kept is None else GOLDEN_SEED):
        rows.append(row)
        mark = "right" if row.found and row.right else "WRONG"
        print(f"{mark}  {row.due:<9} {row.verdict:<9} {row.name:<42} {', '.join(row.stages):<24} {row.seconds:5.0f} s")
        if mark == "WRONG":
            print(f"       at fault: {', '.join(row.at_fault) or 'nothing'}; said: {row.cause}", flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    broken = [row for row in rows if row.due == "broken"]
    sound = [row for row in rows if row.due != "broken"]
    found = [row for row in broken if row.found]
    print(
        f"broken found {len(found)}/{len(broken)}, stages right {sum(row.right for row in found)}/{len(found)}, "
        f"sound failed {sum(row.verdict == 'broken' for row in sound)}/{len(sound)}, "
        f"other words {sum(row.verdict != row.due for row in sound)}/{len(sound)}, "
        f"seconds {time.perf_counter() - began:.0f}"
    )
    if kept is not None:
        existing = {("submission", each.name) for each in SUBMISSIONS}
        return golden.settle(path, kept, [_behaviour(row) for row in rows], existing, args)
    return int(not all(row.found and row.right for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="submissions (default: all that run here)")
    parser.add_argument("--part", type=int, default=1, metavar="N", help="one in N")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="gradings of each")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs them")
    golden.add_arguments(parser)
    return parser


def _choose(names: Sequence[str], *, part: int) -> list[Submission]:
    chosen = [each for each in SUBMISSIONS if (each.name in names if names else "4" not in each.needs)]
    return chosen[::part]


def judge(chosen: Sequence[Submission], args: argparse.Namespace, seed: int | None) -> Iterator[Row]:
    """A row a grading, as each is there; `seed` is that of the questions, None draws them anew."""
    threads = {} if seed is None else {"OMP_NUM_THREADS": "1"}  # the order of sums depends on how many there are
    with mock.patch.dict(os.environ, threads), tempfile.TemporaryDirectory() as name:
        targets = {}
        for time_ in range(args.repeat):
            for each in chosen:
                targets[str(build(each, Path(name) / f"{each.name}_{time_}"))] = each
        for limits in (COURSE, UNLIMITED):
            own = [target for target, each in targets.items() if each.limits == bool(limits)]
            grade = functools.partial(grade_one, python=args.python, seed=seed, sizes=limits)
            for finished in grade_batch(own, grade, Path(name) / "results", jobs=args.jobs):
                yield _row(targets[finished.target], finished.grade)


def _row(due: Submission, grade: Grade) -> Row:
    if isinstance(grade, NotGraded):
        return Row(due.name, due.verdict, "none", (), tuple(due.stages), False, False, None, 0.0, grade.reason)  # noqa: FBT003
    broken = due.verdict == "broken"
    right = not broken or (bool(grade.stages) and set(grade.stages) <= due.stages | due.also)
    return Row(
        name=due.name,
        due=due.verdict,
        verdict=str(grade.status),
        stages=grade.stages,
        at_fault=tuple(sorted(due.stages)),
        found=(grade.status == "broken") == broken,
        right=right,
        accuracy=grade.accuracy,
        seconds=grade.seconds,
        cause=grade.cause,
        check=next((each.check.id for each in grade.results if each.outcome in (Outcome.FAIL, Outcome.ERROR)), ""),
        graded=not grade.has_errors,
    )


def _behaviour(row: Row) -> golden.Behaviour:
    """The golden row of a submission."""
    verdict = row.verdict if row.graded else golden.NOT_GRADED
    return golden.Behaviour("submission", row.name, verdict, row.stages, row.check)


if __name__ == "__main__":
    sys.exit(main())
