"""The command line. Imports torch only once a command has been understood."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sft_ref.console import interrupts, streams
from sft_ref.console.plain import harmless
from sft_ref.console.quiet import quiet
from sft_ref.console.ranges import Whole
from sft_ref.errors import SftRefError
from sft_ref.harness.isolation.safe_path import safe_path
from sft_ref.reference.data import SPLIT_SIZE, Score, load_rows
from sft_ref.reference.models import DEFAULT_BASE
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import RANGES, Settings

from . import grade as command

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM

_BASE_HELP = f"base model: toy, {DEFAULT_BASE}, a folder, or a hub id"
_DATA_HELP = "JSON file with a list of [question, number], in place of the built-in questions"


CLOSED_PIPE = 128 + 13
"""What a shell tells of a program that SIGPIPE ended; the signal itself would leave no time to tidy up."""

_INTERRUPTED = 128 + 2
_BAD_INPUT = 2
_INTERNAL_ERROR = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 when it did what it was asked, 1 where a submission is broken, 2 on bad input or where standard output cannot
        be written, 3 where the harness itself broke, 4 where a required stage is not shown, 130 after Ctrl-C (143
        after SIGTERM, 129 after SIGHUP), and 141 where what reads standard output has closed it.
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
            _say(f"error: cannot write standard output ({lost}); free space, or send it elsewhere")
            return _BAD_INPUT
        except KeyboardInterrupt as interrupt:
            again = "; the same command goes on from there" if interrupt.args else ""
            print(file=sys.stderr)  # a terminal shows ^C where the cursor was
            _say(f"{str(interrupt) or 'interrupted'}{again}")
            return 128 + signals.number if signals.number else _INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except SftRefError as error:
        _say(f"error: {error}")
        return _BAD_INPUT
    except Exception as error:  # noqa: BLE001  # a bug of ours, whose exit code must not be that of a broken target
        for line in "".join(traceback.format_exception(error)).splitlines():
            print(" " * (len(line) - len(line.lstrip())) + harmless(line), file=sys.stderr)
        _say("internal error: please report the lines above")
        return _INTERNAL_ERROR


def _say(text: str) -> None:
    """One line on standard error."""
    print(f"sft-ref: {harmless(text)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other error is said."""

    def error(self, message: str) -> NoReturn:
        """Ends with the exit code of bad input."""
        self.exit(_BAD_INPUT, f"sft-ref: error: {harmless(' '.join(message.split())[:500])}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sft-ref",
        description="Fine-tune with LoRA, load back what was trained in the same precision, and test it.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train, save, load and test in one go, and show what came of it")
    demo.set_defaults(run=_demo, overwrite=True, data=None)
    _add_training(demo, output="demo")

    train = commands.add_parser("train", help="fine-tune an adapter and save it with its record")
    train.set_defaults(run=_train)
    _add_training(train, output="sft_model")
    train.add_argument("--data", metavar="FILE", help=_DATA_HELP)
    train.add_argument("--overwrite", action="store_true", help="replace an adapter that stands there")

    load = commands.add_parser("load", help="load an adapter as it was trained, and show the dtypes found")
    load.set_defaults(run=_load)
    _add_adapter(load)

    test = commands.add_parser("test", help="ask an adapter questions that it has not seen, and score its answers")
    test.set_defaults(run=_test)
    _add_adapter(test)
    test.add_argument("--data", metavar="FILE", help=_DATA_HELP)

    checks = commands.add_parser("checks", help="list what the harness checks, or explain some of it")
    checks.set_defaults(run=_checks)
    checks.add_argument("ids", nargs="*", metavar="ID", help="checks to explain (default: list all)")

    grade = commands.add_parser(
        "grade", help="sound, drift or broken; at which stage, why, and how to mend it", epilog=command.EPILOG
    )
    grade.set_defaults(run=_grade)
    command.add_arguments(grade)

    sweep = commands.add_parser("sweep", help="train under every policy, load under every other, and show what moved")
    sweep.set_defaults(run=_sweep)
    _add_sweep(sweep)
    return parser


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    names = f"{', '.join(POLICIES)}, and variations such as fp32+sdpa"
    parser.add_argument("--base", default=DEFAULT_BASE, help=f"{_BASE_HELP} (default: %(default)s)")
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


def _add_training(parser: argparse.ArgumentParser, *, output: str) -> None:
    parser.add_argument("--base", default=DEFAULT_BASE, help=f"{_BASE_HELP} (default: %(default)s)")
    parser.add_argument("--output", default=output, metavar="FOLDER", help="adapter folder (default: %(default)s)")
    parser.add_argument("--policy", metavar="NAME", help=f"{', '.join(POLICIES)} (default: what suits the device)")
    for field in fields(Settings):
        flag, allowed = f"--{field.name.replace('_', '-')}", RANGES[field.name]
        words = f"{allowed} (default: %(default)s)"
        parser.add_argument(flag, type=allowed, default=field.default, metavar="N", help=words)


def _add_adapter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default="sft_model", help="adapter folder (default: %(default)s)")
    parser.add_argument("--base", help=f"{_BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument("--policy", metavar="NAME", help="load under another policy than the one trained, on purpose")


def _demo(args: argparse.Namespace) -> None:
    began = time.perf_counter()
    _train(args)
    llm, score = _load_and_ask(argparse.Namespace(folder=args.output, base=None, policy=None, data=None))
    print(f"loss curve: {harmless(str(Path(args.output) / 'loss.png'))}")
    seconds = time.perf_counter() - began
    print(f"{score} base={harmless(args.base)} policy={llm.policy.name} seconds={seconds:.0f}")


def _train(args: argparse.Namespace) -> None:
    rows = load_rows(args.data) if args.data else None
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    quiet()
    from sft_ref.reference import sft

    from . import terminal

    with terminal.training_progress(settings.steps) as report:
        sft.train(
            args.output,
            base=args.base,
            rows=rows,
            policy=args.policy,
            settings=settings,
            overwrite=args.overwrite,
            report=report,
        )
    print(f"adapter saved: {harmless(args.output)}")


def _load(args: argparse.Namespace) -> None:
    quiet()
    from sft_ref.reference import sft

    from . import terminal

    terminal.show_precision(sft.load(args.folder, base=args.base, policy=args.policy), Path(args.folder))


def _test(args: argparse.Namespace) -> None:
    _load_and_ask(args)


def _checks(args: argparse.Namespace) -> None:
    from sft_ref.harness.checks.registry import choose_checks
    from sft_ref.harness.report.terminal import explain_check, list_checks

    chosen = choose_checks(args.ids)
    if not args.ids:
        list_checks(chosen)
        return
    for each in chosen:
        explain_check(each)


def _grade(args: argparse.Namespace) -> int:
    with streams.no_input():
        return command.run(args)


def _sweep(args: argparse.Namespace) -> int:
    quiet()
    from sft_ref.sweep import command

    return command.run(args)


def _load_and_ask(args: argparse.Namespace) -> tuple[BaseLLM, Score]:
    rows = load_rows(args.data) if args.data else None
    quiet()
    from sft_ref.reference import sft

    from . import terminal

    llm = sft.load(args.folder, base=args.base, policy=args.policy)
    with terminal.asking_progress() as report:
        result = sft.ask(llm, rows, report=report)
    terminal.show_samples(result.samples)
    print(result.score)
    terminal.show_precision(llm, Path(args.folder))
    return llm, result.score
