"""``sft-ref sweep``."""

from __future__ import annotations

import argparse

from sft_ref.console.quiet import quiet
from sft_ref.console.ranges import Whole
from sft_ref.reference.bases.find import DEFAULT_BASE
from sft_ref.reference.data import SPLIT_SIZE
from sft_ref.reference.guards.ranges import RANGES
from sft_ref.reference.precision import POLICIES

from .options import BASE_HELP

HELP = "train under every policy, load under every other, and show what moved"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sweep``."""
    names = f"{', '.join(POLICIES)}, and variations such as fp32+sdpa"
    parser.add_argument("--base", default=DEFAULT_BASE, help=f"{BASE_HELP} (default: %(default)s)")
    parser.add_argument("--train", nargs="+", metavar="POLICY", help=f"train under these: {names} (default: all five)")
    parser.add_argument("--load", nargs="+", metavar="POLICY", help="load under these as well (default: all five)")
    parser.add_argument(
        "--steps", type=RANGES["steps"], default=80, metavar="N", help="of each training (default: %(default)s)"
    )
    parser.add_argument(
        "--questions", type=Whole(1, SPLIT_SIZE), default=100, metavar="N", help="asked (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the cells there as well")
    parser.add_argument("--png", metavar="FILE", help="draw them as a picture as well")
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--compare", action="store_true", help="with the baseline of this device; 1 where it moved")
    against.add_argument("--update", action="store_true", help="make that baseline anew, from two sweeps that agree")
    parser.add_argument(
        "--baselines", default="tests/baselines", metavar="FOLDER", help="where they are (default: %(default)s)"
    )
    parser.add_argument(
        "--folder",
        default="sweep.partial",
        help="keeps what is done until the sweep ends, and goes on from there (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Sweeps; see `sft_ref.sweep.command.run`."""
    quiet()
    from sft_ref.sweep import command

    return command.run(args)
