"""`sft-ref sweep`: what its words mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sft_ref.adapter import disk_errors

from .cell import Cell, to_text
from .run import Plan, sweep
from .show import show

if TYPE_CHECKING:
    from sft_ref.training import Step


def run(args: argparse.Namespace) -> int:
    """Sweeps as the command line asks.

    Returns:
        0, or 1 where a number moved further from its baseline than it may.

    Raises:
        SftRefError: as `sweep` does.
    """
    plan = _plan(args)
    cells = _sweep(plan, Path(args.folder))
    show(cells)
    if args.json:
        with disk_errors(Path(args.json)):
            Path(args.json).write_text(to_text(cells), encoding="utf-8")
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    plan = Plan(base=args.base, questions=args.questions)
    return replace(
        plan,
        train=tuple(args.train or plan.train),
        load=tuple(args.load or plan.load),
        settings=replace(plan.settings, steps=args.steps),
    )


def _sweep(plan: Plan, folder: Path) -> list[Cell]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    count = sum(len(loads) for _, loads in plan.pairs())
    cells: list[Cell] = []

    def training(name: str) -> Callable[[Step], None]:
        def report(step: Step) -> None:
            if step.step % 20 == 0 or step.step == plan.settings.steps:
                pace = f"loss {step.loss:.3f}  {step.tokens_per_second:.0f} tokens/s"
                console.print(f"training {name}: {step.step}/{plan.settings.steps}  {pace}")

        return report

    try:
        for cell in sweep(plan, folder, training=training):
            cells.append(cell)
            console.print(f"{len(cells)}/{count}  {cell.train} → {cell.load}: {cell.verdict}")
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{interrupt or 'stopped'}, {len(cells)} of {count} cells done") from interrupt
    return cells
