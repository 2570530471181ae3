"""``sft-ref test``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.quiet import quiet
from sft_ref.reference.guards.rows import load_rows

from .options import add_adapter, add_data

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM
    from sft_ref.reference.sft import TestResult

HELP = "ask an adapter questions that it has not seen, and score its answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``test``."""
    add_adapter(parser)
    add_data(parser)


def run(args: argparse.Namespace) -> None:
    """Loads, asks, and shows the answers, their score and the precision."""
    load_and_ask(args.folder, base=args.base, policy=args.policy, data=args.data)


def load_and_ask(
    folder: str, *, base: str | None = None, policy: str | None = None, data: str | None = None
) -> tuple[BaseLLM, TestResult]:
    """Loads an adapter, asks it, and shows the answers, their score and the precision."""
    rows = load_rows(data) if data else None
    quiet()
    from sft_ref.reference import sft

    from .terminal import asking_progress, show_precision, show_samples

    llm = sft.load(folder, base=base, policy=policy)
    with asking_progress() as report:
        result = sft.ask(llm, rows, report=report)
    show_samples(result.samples)
    print(result.score)
    show_precision(llm, Path(folder))
    return llm, result
