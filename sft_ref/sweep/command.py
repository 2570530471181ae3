"""The command ``sft-ref sweep``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sft_ref.console.printable import printable
from sft_ref.errors import SftRefError
from sft_ref.io.atomic_write import check_writable, write_atomic
from sft_ref.io.reading import kind_of
from sft_ref.io.strict_json import to_text
from sft_ref.reference.bases.find import DEFAULT_BASE
from sft_ref.reference.fingerprints import library_versions

from . import baseline, baseline_report
from .cell import Cell
from .cluster import sweep_on_cluster
from .picture import draw
from .run import Plan, device_name, sweep
from .terminal import show

if TYPE_CHECKING:
    from sft_ref.reference.guards.progress import Step


WritePage = Callable[..., None]
"""Writes a page of figures to a path, with a `title`."""


def run(args: argparse.Namespace, write_page: WritePage) -> int:
    """Runs the sweep that the command line requests.

    Args:
        args: parsed command line.
        write_page: writes the page of the cells, for ``--html``.

    Returns:
        0, or 1 if a figure differs from its baseline by more than its tolerance, or there is no baseline.

    Raises:
        SftRefError: `sweep` raises it, or a baseline is missing in CI or cannot be written.
    """
    if args.ray is not None and (args.compare or args.update):
        raise SftRefError("--ray: a baseline is of this device, and figures of other machines differ; leave out one")
    plan = _plan(args)
    path = args.baseline or baseline.path_of(plan, Path(args.baselines))
    if args.update and args.baseline is None:
        baseline.check_clean(path)
    elif args.compare:
        _check_baseline(plan, path)
    for file in filter(None, (args.json, args.png, args.html)):
        check_writable(Path(file))  # fails before the sweep, not after it
    cells = _sweep(plan, Path(args.folder), args.ray)
    show(cells)
    _write(cells, args, write_page)
    if args.update:
        baseline.check_stable(cells, _sweep(plan, Path(args.folder), None))
        baseline.write(plan, cells, path)
        print(f"baseline written: {printable(str(path))}")
    elif args.compare:
        return _compare(plan, cells, path)
    return 0


def _write(cells: list[Cell], args: argparse.Namespace, write_page: WritePage) -> None:
    where = device_name() if args.ray is None else f"the cluster {args.ray}"
    title = f"{args.base or DEFAULT_BASE} on {where}"
    if args.json:
        write_atomic(Path(args.json), to_text([cell.to_json() for cell in cells]))
    if args.png:
        write_atomic(Path(args.png), draw(cells, title=title))
    if args.html:
        write_page(cells, args.html, title=title)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _check_baseline(plan: Plan, path: Path) -> None:
    """Checks the baseline before the sweep: it must be readable, and in CI it must exist."""
    if kind_of(path) is not None:
        baseline.read(plan, path)
    elif _in_ci():
        raise baseline.BaselineError(f"there is no baseline {path}; make it with `sft-ref sweep --update`")


def _compare(plan: Plan, cells: list[Cell], path: Path) -> int:
    found = baseline.figures(cells)
    if not path.is_file():
        print(f"no baseline: {printable(str(path))}; make it with `sft-ref sweep --update`")
        return 1
    golden, versions = baseline.read(plan, path)
    baseline_report.show_versions(versions, library_versions())
    differences = list(baseline.compare(golden, found))
    baseline_report.show(differences, golden, found, path)
    absent = baseline.missing(golden, found)
    for train, load in absent:
        print(f"no baseline: {printable(f'{train} → {load}')}; make it with `sft-ref sweep --update`")
    if absent and _in_ci():
        raise baseline.BaselineError(f"{path} lacks {len(absent)} of {len(found)} cells; make it again with --update")
    return int(bool(differences))


def _plan(args: argparse.Namespace) -> Plan:
    plan = Plan(base=args.base or DEFAULT_BASE, questions=args.questions)
    return replace(
        plan,
        train=tuple(args.train or plan.train),
        load=tuple(args.load or plan.load),
        settings=replace(plan.settings, steps=args.steps),
    )


def _sweep(plan: Plan, folder: Path, address: str | None) -> list[Cell]:
    """Returns the cells in the order of the plan, computed on this machine or on the cluster at an address."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    order = [(train.name, load.name) for train, loads in plan.pairs() for load in loads]
    cells: list[Cell] = []

    def training(name: str) -> Callable[[Step], None]:
        def report(step: Step) -> None:
            if step.step % 20 == 0 or step.step == plan.settings.steps:
                pace = f"loss {step.loss:.3f}  {step.tokens_per_second:.0f} tokens/s"
                console.print(f"training {name}: {step.step}/{plan.settings.steps}  {pace}")

        return report

    try:
        if address is None:
            finishing = sweep(plan, folder, training=training)
        else:
            finishing = sweep_on_cluster(plan, folder, address)
        for cell in finishing:
            cells.append(cell)
            console.print(f"{len(cells)}/{len(order)}  {cell.train} → {cell.load}: {cell.verdict}")
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"{str(interrupt) or 'stopped'}, {len(cells)} of {len(order)} cells done"
        ) from interrupt
    return sorted(cells, key=lambda cell: order.index((cell.train, cell.load)))
