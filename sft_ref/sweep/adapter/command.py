"""The command ``sft-ref sweep --adapter``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sft_ref.console.printable import printable
from sft_ref.errors import SftRefError
from sft_ref.io.atomic_write import check_writable, write_atomic
from sft_ref.io.strict_json import to_text
from sft_ref.reference.fingerprints import library_versions
from sft_ref.sweep.baseline_report import describe, show_versions

from . import baseline
from .figures import WayFigures
from .loading import StoredAdapter, read_adapter
from .run import AdapterPlan, sweep_adapter
from .terminal import show


def run(args: argparse.Namespace) -> int:
    """Sweeps as the command line asks.

    Returns:
        0, or 1 if a figure differs from the baseline by more than its tolerance, or there is no baseline.

    Raises:
        SftRefError: adapter, rows, a way to load or the baseline cannot be used.
    """
    plan = _plan(args)
    plan.ways()  # refuses a wrong name before anything is loaded
    if args.compare and not args.baseline.exists():
        print(f"no baseline: {printable(str(args.baseline))}; make it with --update")
        return 1
    adapter = read_adapter(plan.folder, plan.base)
    conditions = baseline.conditions(plan, adapter) if args.baseline else {}
    golden = baseline.read(args.baseline, conditions) if args.compare else None
    for file in filter(None, (args.json, args.baseline if args.update else None)):
        check_writable(Path(file))
    found = _sweep(plan, adapter)
    show(found)
    if args.json:
        write_atomic(Path(args.json), to_text([each.to_json() for each in found]))
    if args.update:
        baseline.write(args.baseline, conditions, found)
        print(f"baseline written: {printable(str(args.baseline))}")
    if golden is None:
        return 0
    console = Console(highlight=False, soft_wrap=True)
    show_versions(golden.versions, library_versions())
    moved = list(baseline.differences(golden, found))
    for each in moved:
        console.print(f"[bold red]moved[/] [bold]{escape(each.pair[0])}[/] {describe(each)}")
    if not moved:
        console.print(f"as in the baseline {escape(printable(str(args.baseline)))}, within its tolerances")
    return int(bool(moved))


def _plan(args: argparse.Namespace) -> AdapterPlan:
    if args.data is None:
        raise SftRefError("--adapter: is asked questions; give --data FILE")
    for option, value in (("--train", args.train), ("--png", args.png)):
        if value:
            raise SftRefError(f"{option}: is for a sweep that trains, and --adapter is trained; leave it out")
    if (args.update or args.compare) and args.baseline is None:
        raise SftRefError("--compare and --update: say with --baseline FILE where the baseline of an adapter is")
    plan = AdapterPlan(args.adapter, args.data, args.base, prompt=args.prompt, chat_template=args.chat_template)
    return replace(plan, load=tuple(args.load or plan.load))


def _sweep(plan: AdapterPlan, adapter: StoredAdapter) -> list[WayFigures]:
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    found: list[WayFigures] = []
    try:
        for each in sweep_adapter(plan, adapter):
            found.append(each)
            console.print(f"{len(found)}/{len(plan.ways())}  {each.load}: {each.verdict}")
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"stopped, {len(found)} of {len(plan.ways())} ways done") from interrupt
    return found
