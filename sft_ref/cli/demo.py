"""``sft-ref demo``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from sft_ref.console.printable import printable

from . import train
from .options import add_training
from .test import load_and_ask

HELP = "train, save, load and test in one go, and show the result"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``demo``."""
    add_training(parser, output="demo")
    parser.set_defaults(overwrite=True, data=None)


def run(args: argparse.Namespace) -> None:
    """Trains, saves, loads and tests, and ends in one line of figures."""
    began = time.perf_counter()
    train.run(args)
    llm, score = load_and_ask(args.output)
    print(f"loss curve: {printable(str(Path(args.output) / 'loss.png'))}")
    seconds = time.perf_counter() - began
    print(f"{score} base={printable(args.base)} policy={llm.policy.name} seconds={seconds:.0f}")
