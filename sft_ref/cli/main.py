"""The command line: dispatches to one module per command, each with `HELP`, `add_arguments` and `run`.

Imports torch only after the command line has been parsed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import shtab

from sft_ref.console import interrupts, streams
from sft_ref.console.printable import printable
from sft_ref.errors import SftRefError
from sft_ref.harness.isolation.safe_path import safe_path

from . import checks, demo, drift, grade, load, prompt, sweep, test, train, verify

COMMANDS = (demo, train, load, test, checks, grade, verify, drift, prompt, sweep)
"""Command modules, in the order in which the help lists them."""

CLOSED_PIPE = 128 + 13
"""Exit code that a shell reports for a program ended by SIGPIPE; the signal itself would leave no time to clean up."""

_INTERRUPTED = 128 + 2
_BAD_INPUT = 2
_INTERNAL_ERROR = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 on success, 1 if a target is broken, a prompt is not a prefix of its training text or an adapter differs from
        its record, 2 on bad input or if standard output cannot be written, 3 if the harness itself failed, 4 if a
        required stage is not shown, 130 after Ctrl-C (143 after SIGTERM, 129 after SIGHUP), and 141 if the reader of
        standard output has closed it.
    """
    with streams.reliable() as output, interrupts.orderly() as signals, safe_path():
        try:
            try:
                return _run(argv)
            finally:
                output.finish()
        except streams.StreamLostError as lost:
            if lost.is_closed_pipe:
                return CLOSED_PIPE
            _say(f"error: cannot write standard output ({lost}); free space, or redirect it elsewhere")
            return _BAD_INPUT
        except KeyboardInterrupt as interrupt:
            again = "; the same command goes on from there" if interrupt.args else ""
            print(file=sys.stderr)  # the terminal has printed ^C at the cursor
            _say(f"{str(interrupt) or 'interrupted'}{again}")
            return 128 + signals.number if signals.number else _INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except SftRefError as error:
        _say(f"error: {error}")
        return _BAD_INPUT
    except Exception as error:  # noqa: BLE001  # our own bug: its exit code must differ from that of a broken target
        for line in "".join(traceback.format_exception(error)).splitlines():
            print(" " * (len(line) - len(line.lstrip())) + printable(line), file=sys.stderr)
        _say("internal error: please report the lines above")
        return _INTERNAL_ERROR


def _say(text: str) -> None:
    """Prints one line on standard error."""
    print(f"sft-ref: {printable(text)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Argument parser that reports errors in one line, like all other errors."""

    def error(self, message: str) -> NoReturn:
        """Prints the message and exits with the exit code for bad input."""
        self.exit(_BAD_INPUT, f"sft-ref: error: {printable(' '.join(message.split())[:500])}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sft-ref",
        description="Fine-tune with LoRA, load back what was trained in the same precision, and test it.",
    )
    shtab.add_argument_to(parser, "--print-completion", help="print a completion script for this shell")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        each = commands.add_parser(name, help=command.HELP, epilog=vars(command).get("EPILOG"))
        command.add_arguments(each)
        each.set_defaults(run=command.run)
    return parser
