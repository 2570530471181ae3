"""Runs the same jobs in sft_ref and in the tools that users would pick instead, in turn, in one run: `nox -s peers`.

One command for CPU and CUDA: it uses the device that `sft_ref.reference.precision.find_device` finds, and the peers
that run on it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path

import generation
import torch
import training
from contest import Entry, compete, limits
from report import draw, show, write_json
from transformers.utils import logging

import sft_ref
from sft_ref.reference.precision import find_device


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s peers --", description=__doc__)
    parser.add_argument("--base", default="smollm2-135m", help="base model (default: %(default)s)")
    parser.add_argument("--adapter", metavar="FOLDER", help="adapter of that base (default: trained for 40 steps)")
    parser.add_argument("--work", metavar="FOLDER", help="folder that keeps converted models (default: none)")
    parser.add_argument("--jobs", nargs="+", choices=["generation", "training"], default=["generation", "training"])
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[], help="run only peers whose name has one of these words"
    )
    parser.add_argument(
        "--questions", type=int, default=200, metavar="N", help="questions to answer (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=5, metavar="N", help="training steps per round (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each peer (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), metavar="N", help="threads of torch (default: all cores)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the results as PNG")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore")

    with tempfile.TemporaryDirectory() as scratch:
        work = Path(args.work or scratch).absolute()
        device = find_device()
        limit = limits(device)
        print(f"{device}, {args.threads} threads, {limit}", flush=True)
        entries: list[Entry] = []
        if "generation" in args.jobs:
            adapter = Path(args.adapter) if args.adapter else work / "adapter"
            if not adapter.exists():
                sft_ref.train(adapter, base=args.base, settings=sft_ref.Settings(steps=40))
            rows = sft_ref.split_rows("validation")[: args.questions]
            entries += generation.entries(args.base, adapter, rows, work, args.threads, limit)
        if "training" in args.jobs:
            entries += training.entries(args.base, args.steps, work, limit)
        wanted = [e for e in entries if not args.only or e.ours or any(word in e.who for word in args.only)]
        results = compete(wanted, args.rounds)
    show(results)
    if args.json:
        write_json(results, args.json)
    if args.picture:
        draw(results, args.picture)


if __name__ == "__main__":
    main()
