"""``sft-ref checks``."""

from __future__ import annotations

import argparse

HELP = "list what the harness checks, or explain some of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``checks``."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="checks to explain (default: list all)")


def run(args: argparse.Namespace) -> None:
    """Lists or explains checks."""
    from sft_ref.harness.checks.registry import choose_checks, kinds_of
    from sft_ref.harness.report.terminal import explain_check, list_checks

    chosen = choose_checks(args.ids)
    if not args.ids:
        list_checks(chosen)
        return
    for each in chosen:
        explain_check(each, kinds_of(each))
