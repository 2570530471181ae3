"""``sft-ref load``."""

from __future__ import annotations

import argparse
from pathlib import Path

from sft_ref.console.quiet import quiet

from .options import add_adapter

HELP = "load an adapter as it was trained, and show the dtypes found"
add_arguments = add_adapter


def run(args: argparse.Namespace) -> None:
    """Loads the adapter and prints its precision."""
    quiet()
    from sft_ref.reference import sft

    from .terminal import show_precision

    show_precision(sft.load(args.folder, base=args.base, policy=args.policy), Path(args.folder))
