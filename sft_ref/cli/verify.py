"""``sft-ref verify``: an adapter folder against the record of its training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet

from .options import BASE_HELP

if TYPE_CHECKING:
    from sft_ref.witnessing.verifying.result import Verification

HELP = "compare an adapter folder, as peft loads it, with the record of its training"
EPILOG = (
    "The record is what sft_ref.Witness() or sft_ref.witness(...) left beside the adapter. Exit code: 0 where nothing"
    " differs, 1 where something does, 2 on bad input. A model that is loaded in another way is compared by"
    " sft_ref.verify(model, tokenizer, FOLDER)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``verify``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the adapter, with its record")
    parser.add_argument("--base", help=f"{BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")


def run(args: argparse.Namespace) -> int:
    """Compares, shows the result, and gives the exit code.

    Raises:
        SftRefError: there is no record or adapter that can be read, or no base.
    """
    quiet()
    from sft_ref.harness.grading.worker import run_alone
    from sft_ref.io.atomic_write import check_writable, write_atomic
    from sft_ref.io.strict_json import strict, to_text

    if args.json is not None:
        check_writable(args.json)
    result: Verification = run_alone(_verify, args.folder, args.base)
    if args.json is not None:
        write_atomic(args.json, to_text(strict(result.as_json())))
    for line in str(result).splitlines():
        print(printable(line))
    return 0 if result.ok else 1


def _verify(folder: Path, base: str | None) -> Verification:
    """In a process of its own, with limits: the files may be anybody's."""
    quiet()
    from sft_ref.witnessing.verifying.folder import verify_folder

    return verify_folder(folder, base)
