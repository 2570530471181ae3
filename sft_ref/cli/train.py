"""``sft-ref train``."""

from __future__ import annotations

import argparse
from dataclasses import fields

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.reference.guards.rows import load_rows
from sft_ref.reference.settings import Settings

from .options import add_data, add_training

HELP = "fine-tune an adapter and save it with its record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``train``."""
    add_training(parser, output="sft_model")
    add_data(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an adapter that is already there")


def run(args: argparse.Namespace) -> None:
    """Trains and saves an adapter, and shows the progress."""
    rows = load_rows(args.data) if args.data else None
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    quiet()
    from sft_ref.reference import sft

    from .terminal import training_progress

    with training_progress(settings.steps) as report:
        sft.train(
            args.output,
            base=args.base,
            rows=rows,
            policy=args.policy,
            settings=settings,
            overwrite=args.overwrite,
            report=report,
        )
    print(f"adapter saved: {printable(args.output)}")
