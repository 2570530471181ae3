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
    parser.add_argument(
        "--engine",
        choices=["transformers", "openvino"],
        default="transformers",
        help="who generates; openvino is faster on a CPU, and computes the merged model (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Loads, asks, and shows the answers, their score and the precision."""
    load_and_ask(args.folder, base=args.base, policy=args.policy, data=args.data, engine=args.engine)


def load_and_ask(
    folder: str,
    *,
    base: str | None = None,
    policy: str | None = None,
    data: str | None = None,
    engine: str = "transformers",
) -> tuple[BaseLLM, TestResult]:
    """Loads an adapter, asks it, and shows the answers, their score and the precision."""
    rows = load_rows(data) if data else None
    quiet()
    from sft_ref.reference import sft

    from .terminal import asking_progress, show_exported, show_precision, show_samples

    if engine == "openvino":
        from sft_ref.engines.loading import load_with_openvino

        llm = load_with_openvino(folder, base=base, policy=policy)
    else:
        llm = sft.load(folder, base=base, policy=policy)
    with asking_progress() as report:
        result = sft.ask(llm, rows, report=report)
    show_samples(result.samples)
    print(result.score)
    show = show_exported if engine == "openvino" else show_precision
    show(llm, Path(folder))
    return llm, result
