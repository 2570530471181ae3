"""``python tests/helpers/scoreboard.py``: judges every mutant and control of a test folder, in parallel on all cores.

Fails (exit code 1) if a mutant escapes a check that it names, or is caught first by another check or at another stage
than its own, or if a check fails a control; also if a measured value is within a factor of two of its limit, because
another processor may move it across. `close_margins.py` lists the unavoidable ones. With ``--golden``: fails if a row
differs from the file of golden results, or if a measured value is close.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import golden
from close_margins import ACCEPTED
from mutation import Control, Mutant, Row, find, judge_control, judge_mutant
from rich.console import Console
from rich.markup import escape

from sft_ref.console.printable import printable
from sft_ref.console.ranges import IntRange
from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.recorders.in_process.reference import train_reference


def main(argv: list[str] | None = None) -> int:
    """Prints a row for each mutant or control as it is judged, and the totals last."""
    parser = argparse.ArgumentParser(prog="scoreboard", description=__doc__)
    parser.add_argument("names", nargs="*", help="ids of mutants and controls (default: all)")
    parser.add_argument("--tests", type=Path, default=Path("tests"), help="folder that holds mutants/ and controls/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument(
        "--part", type=IntRange(1, 1024), metavar="N", help="one in N, without mutants that need their own training"
    )
    parser.add_argument("--jobs", type=IntRange(1, 1024), metavar="N", help="rows at a time (default: one a core)")
    parser.add_argument(
        "--threads", type=IntRange(1, 1024), default=1, metavar="N", help="of torch in each process (default: 1)"
    )
    golden.add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        kept = golden.read(args.tests / golden.FILE, args)
    except SftRefError as error:
        parser.error(str(error))
    mutants: list[Mutant] = find(args.tests / "mutants", "MUTANT")
    controls: list[Control] = find(args.tests / "controls", "CONTROL")
    existing = {("mutant", each.id) for each in mutants} | {("control", each.id) for each in controls}
    if args.part:
        mutants = [mutant for mutant in mutants if not mutant.retrain]
        mutants, controls = mutants[:: args.part], controls[:: args.part]
        print(f"a part: by file name, one in {args.part} mutants that need no training of their own, and controls")
    names = [(mutant.id, "mutant") for mutant in mutants] + [(control.id, "control") for control in controls]
    if unknown := set(args.names) - {name for name, _ in names}:
        parser.error(f"no mutant or control named {', '.join(sorted(unknown))}")
    names = [(name, kind) for name, kind in names if not args.names or name in args.names]
    began = time.perf_counter()
    rows = []
    for row in _judge_all(args.tests, names, args.jobs, args.threads):
        rows.append(row)
        _show(row)
    seconds = time.perf_counter() - began
    if args.json:
        args.json.write_text(json.dumps([_as_json(row) for row in rows], indent=1), encoding="utf-8")
    tried = [row for row in rows if row.kind == "mutant"]
    failed = [row for row in rows if row.kind == "control" and not row.right]
    close = [row for row in rows if row.is_too_close]
    caught, named = sum(row.caught for row in tried), sum(row.right for row in tried)
    print(
        f"mutants caught {caught}/{len(tried)}, stage named {named}/{len(tried)},"
        f" controls failed {len(failed)}/{len(rows) - len(tried)}, close to a limit {len(close)},"
        f" seconds {seconds:.0f}"
    )
    if kept is not None:
        differs = golden.settle(args.tests / golden.FILE, kept, [_behaviour(row) for row in rows], existing, args)
        return max(differs, int(bool(close)))
    return 0 if named == len(tried) and not failed and not close else 1


def _judge_all(tests: Path, names: list[tuple[str, str]], workers: int | None, threads: int) -> Iterator[Row]:
    """Judges in separate processes, because mutants patch modules; one thread each is as fast on a toy."""
    with tempfile.TemporaryDirectory() as scratch:
        pool = ProcessPoolExecutor(
            workers or os.cpu_count(), mp_context=get_context("spawn"), initializer=_begin, initargs=(threads,)
        )
        with pool:
            shared = pool.submit(train_reference, Path(scratch)).result()
            jobs = [pool.submit(_judge, tests, name, kind, shared) for name, kind in names]
            try:
                for job in as_completed(jobs):
                    yield job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _begin(threads: int) -> None:
    import warnings

    import torch
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _judge(tests: Path, name: str, kind: str, shared: TrainingResult) -> Row:
    from sft_ref.harness.checks.in_process import CHECKS

    try:
        if kind == "mutant":
            [mutant] = [each for each in find(tests / "mutants", "MUTANT") if each.id == name]
            return judge_mutant(mutant, CHECKS, shared)
        [control] = [each for each in find(tests / "controls", "CONTROL") if each.id == name]
        return judge_control(control, CHECKS, shared)
    finally:
        with contextlib.suppress(AttributeError):  # glibc keeps 90 MB of freed memory a row, 18 GB in all
            ctypes.CDLL(None).malloc_trim(0)


def _show(row: Row) -> None:
    console = Console(highlight=False, soft_wrap=True)
    verdict = "[green]right[/]" if row.right else "[red]wrong[/]"
    what = ", ".join(f"{result.id} {result.outcome}" for result in row.found) or "nothing found"
    about = f"{row.stage}: {row.about}" if row.stage else row.about
    console.print(f"{verdict}  {row.kind:<8}{row.id:<28}{what:<24}{row.seconds:5.1f} s  [dim]{escape(about)}[/]")
    if row.missed:
        print(f"       not failed by {', '.join(row.missed)}")
    for name, share in row.close:
        print(f"       close to the limit: {name}, {share:.2f} of it{_accepted(row.id, name)}")
    if not row.right:
        for result in row.found:
            allowed = f", expected {result.expected}" if result.outcome is Outcome.FAIL else ""
            saw = escape(printable(result.observed + allowed))
            console.print(f"       {result.id}: {escape(result.statement)}; observed {saw}")


def _accepted(name: str, check: str) -> str:
    """Returns a clause with the reason why a close margin is accepted; empty if it is not."""
    reason = ACCEPTED.get((name, check))
    return f"; accepted: {reason}" if reason else ""


def _behaviour(row: Row) -> golden.Behaviour:
    """Returns the golden row of a mutant or control."""
    if any(result.outcome is Outcome.ERROR for result in row.found):
        verdict = golden.NOT_GRADED
    elif row.kind == "control":
        verdict = "passed" if row.right else "failed"
    else:
        verdict = "caught" if row.right else "stage not named" if row.caught else "not caught"
    stages = tuple(dict.fromkeys(result.stage for result in row.found))
    return golden.Behaviour(row.kind, row.id, verdict, stages, row.found[0].id if row.found else "")


def _as_json(row: Row) -> dict[str, object]:
    found = [{"id": r.id, "stage": r.stage, "outcome": r.outcome, "observed": r.observed} for r in row.found]
    return {
        "id": row.id,
        "kind": row.kind,
        "about": row.about,
        "stage": row.stage,
        "caught": row.caught,
        "right": row.right,
        "found": found,
        "missed": row.missed,
        "close": dict(row.close),
        "seconds": round(row.seconds, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
