"""``sft-ref sweep``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from sft_ref.console.quiet import quiet
from sft_ref.console.ranges import IntRange
from sft_ref.errors import SftRefError
from sft_ref.reference.bases.find import DEFAULT_BASE
from sft_ref.reference.data import SPLIT_SIZE
from sft_ref.reference.guards.ranges import RANGES
from sft_ref.reference.precision import POLICIES

from .options import BASE_HELP, add_page, add_writing

HELP = "train under each policy, or take your adapter; load it in several ways, and show what changes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``sweep``."""
    names = f"{', '.join(POLICIES)}, and variations such as fp32+sdpa"
    parser.add_argument("--base", help=f"{BASE_HELP} (default: {DEFAULT_BASE}, or that of --adapter)")
    parser.add_argument("--train", nargs="+", metavar="POLICY", help=f"train under these: {names} (default: all five)")
    parser.add_argument(
        "--load",
        nargs="+",
        metavar="POLICY",
        help="load each training under these as well (default: all five); with --adapter, where the others are"
        " compared with the first, also merged-POLICY, openvino-fp32, openvino-bf16 and openvino-int8",
    )
    parser.add_argument(
        "--steps",
        type=RANGES["steps"],
        default=80,
        metavar="N",
        help="optimizer steps of each training (default: %(default)s)",
    )
    parser.add_argument(
        "--questions",
        type=IntRange(1, SPLIT_SIZE),
        default=100,
        metavar="N",
        help="number of questions (default: %(default)s)",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="train on the nodes of this Ray cluster: HOST:PORT, or auto; not for --adapter"
    )
    own = parser.add_argument_group("your own adapter, instead of a training")
    own.add_argument("--adapter", type=Path, metavar="FOLDER", help="adapter to load in each way, and to ask --data")
    own.add_argument("--data", type=Path, metavar="FILE", help="questions and answers, as `sft-ref grade` takes them")
    add_writing(own)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    add_page(parser)
    parser.add_argument("--png", metavar="FILE", help="draw the results as a picture as well")
    against = parser.add_mutually_exclusive_group()
    against.add_argument(
        "--compare", action="store_true", help="compare with the baseline of this device; exit with 1 if figures moved"
    )
    against.add_argument(
        "--update", action="store_true", help="make or replace that baseline, from two sweeps that agree"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--baselines",
        default="tests/baselines",
        metavar="FOLDER",
        help="folder of baselines, with a file for each device and base (default: %(default)s)",
    )
    where.add_argument("--baseline", type=Path, metavar="FILE", help="baseline file, instead of one in --baselines")
    parser.add_argument(
        "--folder",
        default="sweep.partial",
        help="folder of finished work, from which an interrupted sweep continues (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs a sweep; see `sft_ref.sweep.command.run` and `sft_ref.sweep.adapter.command.run`.

    Raises:
        SftRefError: one of these functions raises it, or an option is for the other kind of sweep.
    """
    quiet()
    from .pages.sweep_pages import write_adapter_sweep_page, write_sweep_page

    if args.adapter is not None:
        if args.ray is not None:
            raise SftRefError("--ray: distributes trainings, and --adapter needs none; leave --ray out")
        from sft_ref.harness.grading.worker import DAYS, run_alone
        from sft_ref.sweep.adapter.command import run as sweep_adapter

        return sweep_adapter(args, partial(run_alone, seconds=DAYS), write_adapter_sweep_page)
    for option in ("data", "prompt", "chat_template"):
        if getattr(args, option) is not None:
            raise SftRefError(f"--{option.replace('_', '-')}: is for an adapter; give --adapter FOLDER as well")
    from sft_ref.sweep import command

    return command.run(args, write_sweep_page)
