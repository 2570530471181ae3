"""The command ``sft-ref sweep --adapter``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.errors import SftRefError
from sft_ref.io.atomic_write import check_writable, write_atomic
from sft_ref.io.strict_json import to_text
from sft_ref.reference.fingerprints import library_versions
from sft_ref.sweep.baseline_report import describe, show_versions
from sft_ref.sweep.command import WritePage
from sft_ref.sweep.run import surroundings

from . import baseline
from .baseline import WayBaseline
from .cache import WayCache, path_of
from .figures import WayFigures
from .loading import read_adapter
from .run import AdapterPlan, sweep_adapter
from .terminal import show


@dataclass(frozen=True)
class AdapterSweep:
    """The result of a sweep, returned by the process that runs it.

    Attributes:
        conditions: conditions under which its figures are comparable.
        baseline: baseline to compare the figures with; None if there is none.
        ways: figures of each way to load.
    """

    conditions: dict[str, str]
    baseline: WayBaseline | None
    ways: list[WayFigures]


def run(args: argparse.Namespace, alone: Callable[..., AdapterSweep], write_page: WritePage) -> int:
    """Runs the sweep that the command line requests.

    Args:
        args: parsed command line.
        alone: calls a function with its arguments in a process with limits, because the adapter is untrusted.
        write_page: writes the page of the ways to load, for ``--html``.

    Returns:
        0, or 1 if a figure differs from the baseline by more than its tolerance, or there is no baseline.

    Raises:
        SftRefError: adapter, rows, a way to load or the baseline cannot be used.
    """
    plan = _plan(args)
    ways = plan.ways()  # refuses a wrong name before anything is loaded
    if args.compare and not args.baseline.exists():
        print(f"no baseline: {printable(str(args.baseline))}; make it with --update")
        return 1
    for file in filter(None, (args.json, args.html, args.baseline if args.update else None)):
        check_writable(Path(file))
    folder = Path(args.folder)
    try:
        swept = alone(_sweep, plan, folder, args.baseline if args.compare else None)
    except KeyboardInterrupt as interrupt:
        done = sum(path_of(folder, way.name).exists() for way in ways)
        raise KeyboardInterrupt(
            f"stopped, {done} of {len(ways)} ways done; the same command goes on from there"
        ) from interrupt
    show(swept.ways)
    if args.json:
        write_atomic(Path(args.json), to_text([each.to_json() for each in swept.ways]))
    if args.html:
        write_page(swept.ways, args.html, title=str(plan.folder))
    if args.update:
        baseline.write(args.baseline, swept.conditions, swept.ways)
        print(f"baseline written: {printable(str(args.baseline))}")
    return _compare(swept, args.baseline) if swept.baseline else 0


def _compare(swept: AdapterSweep, path: Path) -> int:
    assert swept.baseline
    console = Console(highlight=False, soft_wrap=True)
    show_versions(swept.baseline.versions, library_versions())
    moved = list(baseline.differences(swept.baseline, swept.ways))
    for each in moved:
        console.print(f"[bold red]moved[/] [bold]{escape(each.pair[0])}[/] {describe(each)}")
    if not moved:
        console.print(f"as in the baseline {escape(printable(str(path)))}, within its tolerances")
    return int(bool(moved))


def _plan(args: argparse.Namespace) -> AdapterPlan:
    if args.data is None:
        raise SftRefError("--adapter: needs questions to ask; give --data FILE")
    for option, value in (("--train", args.train), ("--png", args.png)):
        if value:
            raise SftRefError(f"{option}: is for a sweep that trains, and --adapter is trained already; leave it out")
    if (args.update or args.compare) and args.baseline is None:
        raise SftRefError("--compare and --update: need the baseline of the adapter; give --baseline FILE")
    plan = AdapterPlan(args.adapter, args.data, args.base, prompt=args.prompt, chat_template=args.chat_template)
    return replace(plan, load=tuple(args.load or plan.load))


def _sweep(plan: AdapterPlan, folder: Path, golden: Path | None) -> AdapterSweep:
    """Reads the adapter, loads it in each way, and shows the progress; runs in a process with limits."""
    quiet()
    adapter = read_adapter(plan.folder, plan.base)
    conditions = baseline.conditions(plan, adapter)
    expected = baseline.read(golden, conditions) if golden else None
    cache = WayCache(folder, {**conditions, **surroundings()})
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    ways: list[WayFigures] = []
    for each in sweep_adapter(plan, adapter, cache):
        ways.append(each)
        console.print(f"{len(ways)}/{len(plan.ways())}  {each.load}: {each.verdict}")
    return AdapterSweep(conditions, expected, ways)
