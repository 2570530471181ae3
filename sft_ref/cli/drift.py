"""``sft-ref drift``: loads an adapter in several ways and compares each with the record of its training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.errors import PrecisionError, SftRefError

from .options import BASE_HELP, add_page

if TYPE_CHECKING:
    from sft_ref.witnessing.verifying.result import Verification

HELP = "load an adapter in several ways, and compare each with the record of its training"
EPILOG = "Exit code: 0 if every way gives the trained model, 1 if one does not or cannot be run, 2 on bad input."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``drift``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="adapter folder, with its record")
    parser.add_argument("--base", help=f"{BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument(
        "--load",
        nargs="+",
        required=True,
        metavar="WAY",
        help="policies such as bf16 and fp32+sdpa, and merged-POLICY, as `sft-ref sweep --adapter` takes them",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    add_page(parser)


def run(args: argparse.Namespace) -> int:
    """Compares each way to load, prints a table and returns the exit code.

    Raises:
        SftRefError: the record, adapter or base cannot be read, or a way to load is unknown.
    """
    quiet()
    from sft_ref.harness.grading.worker import DAYS, run_alone
    from sft_ref.io.atomic_write import check_writable, write_atomic
    from sft_ref.io.strict_json import strict, to_text

    for file in filter(None, (args.json, args.html)):
        check_writable(file)
    found: dict[str, Verification | str] = run_alone(
        _drift, args.folder, args.base, tuple(dict.fromkeys(args.load)), seconds=DAYS
    )
    if args.json is not None:
        table = {way: {"not_run": each} if isinstance(each, str) else each.as_json() for way, each in found.items()}
        write_atomic(args.json, to_text(strict(table)))
    if args.html is not None:
        from .pages.record_pages import write_drift_page

        write_drift_page(found, args.html, title=str(args.folder))
    _show(found)
    return int(any(isinstance(each, str) or not each.ok for each in found.values()))


def _drift(folder: Path, base: str | None, names: tuple[str, ...]) -> dict[str, Verification | str]:
    """Maps each way to load to its comparison, or to why it cannot run here; runs in a separate process with limits."""
    quiet()
    from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
    from sft_ref.reference.models import computing
    from sft_ref.reference.precision import check_can_compute, find_device
    from sft_ref.sweep.adapter.loading import find_way, load, read_adapter
    from sft_ref.witnessing.record.schema import read_stored
    from sft_ref.witnessing.verifying.verify import verify_loaded

    ways = [find_way(name) for name in names]
    if engines := [way.name for way in ways if way.engine is not None]:
        raise SftRefError(
            f"--load {engines[0]}: an engine shows no weights to compare with the record; measure it with"
            " `sft-ref sweep --adapter`"
        )
    stored = read_stored(folder)
    adapter = read_adapter(folder, base)
    tokenizer = load_tokenizer_of(folder, base).tokenizer if stored.record.tokenizer is not None else None
    device = find_device()
    found: dict[str, Verification | str] = {}
    for way in ways:
        try:
            check_can_compute(way.policy, device)
        except PrecisionError as error:
            found[way.name] = str(error)
            continue
        model = load(adapter, way).to(device)
        with computing(model, way.policy):
            found[way.name] = verify_loaded(stored, model, tokenizer)
    return found


def _show(found: dict[str, Verification | str]) -> None:
    """Prints a line for each way to load, then the differences of each."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from sft_ref.sweep.terminal import wide_console

    table = Table(title="each way to load, compared with the record", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("load", "differs in", "logits", "loss"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"logits", "loss"} else "left")
    for way, each in found.items():
        if isinstance(each, str):
            table.add_row(escape(way), "[yellow]not run[/]")
            continue
        kinds = ", ".join(sorted(each.kinds))
        figures = [f"{value:.2g}" for value in each.figures.values()]
        table.add_row(escape(way), f"[red]{kinds}[/]" if kinds else "[green]nothing[/]", *figures)
    console = wide_console(table)
    console.print(table)
    for way, each in found.items():
        for difference in (each,) if isinstance(each, str) else each.differences:
            console.print(f"{way}: {printable(str(difference))}", markup=False, soft_wrap=True)
    console.print(
        "\nlogits: root mean square difference on the probes, as a share of their spread. loss: largest difference on a"
        " probe, in nat.",
        style="dim",
    )
