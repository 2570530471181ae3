"""``sft-ref demo``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from sft_ref.cli import train
from sft_ref.cli.options import add_training
from sft_ref.cli.test import load_and_ask
from sft_ref.console.printable import printable

HELP = "train, save, load and test; then plant a fault, and let the harness find it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``demo``."""
    add_training(parser, output="demo")
    parser.set_defaults(base="toy", steps=60, overwrite=True, data=None)  # more steps improve nothing


def run(args: argparse.Namespace) -> None:
    """Trains, saves, loads and tests an adapter, shows a fault and its cause, and prints a last line of figures."""
    began = time.perf_counter()
    train.run(args)
    llm, tested = load_and_ask(args.output)
    print(f"loss curve: {printable(str(Path(args.output) / 'loss.png'))}")
    from .fault import show_fault

    show_fault(Path(args.output), args.base, tested.samples)
    seconds = time.perf_counter() - began
    print(f"{tested.score} base={printable(args.base)} policy={llm.policy.name} seconds={seconds:.0f}")
