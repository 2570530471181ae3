"""``sft-ref prompt``: shows a row as training text and as prompt, by token; needs tokenizer files but no weights."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.console.ranges import IntRange

from .options import BASE_HELP, add_labels, add_writing

if TYPE_CHECKING:
    from sft_ref.harness.recorders.dataset.view import TokenRow, TokenView

HELP = "show, token by token, a row as it is trained on and as it is sent as a prompt"
EPILOG = (
    "Supervised tokens are marked with *, and tokens at which prompt and training text differ with !. Exit code:"
    " 0 if the prompt is a prefix of the training text, token by token; 1 if it is not; 2 on bad input. Texts are"
    " written and labelled as TRL's SFTTrainer does."
)

_SECONDS = 120.0
"""Limit of processor seconds per core for reading the files and rendering the templates."""

_EDGE = 12
"""Tokens shown at each end of a long run of tokens of the same kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``prompt``."""
    parser.add_argument(
        "folder", type=Path, metavar="ADAPTER", help="adapter folder; its tokenizer, if any, replaces the base's"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="rows, as for grade: JSON, JSONL or Parquet"
    )
    parser.add_argument("--base", help=f"{BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument(
        "--row", type=IntRange(1, 2**63 - 1), default=1, metavar="N", help="number of the row (default: %(default)s)"
    )
    add_writing(parser)
    add_labels(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the row; returns 1 if the prompt is not a prefix of the training text, else 0."""
    quiet()
    from sft_ref.harness.grading.worker import run_alone
    from sft_ref.harness.recorders.dataset.view import view_row

    view = run_alone(
        functools.partial(
            view_row,
            args.folder,
            args.data,
            base=args.base,
            number=args.row,
            prompt=args.prompt,
            chat_template=args.chat_template,
            labels=args.labels or "completion",
        ),
        seconds=_SECONDS,
    )
    for line in _lines(view):
        print(line)
    return 0 if view.parting is None else 1


def _lines(view: TokenView) -> Iterator[str]:
    yield f"row {view.number} of {view.total}, written by {view.wording}; tokenizer: {printable(view.source)}"
    yield f"training text: {view.text_length} tokens, {view.supervised} supervised ({view.labels})"
    yield "  " + "".join(
        f"[[{repr(text)[1:-1]}]]" if supervised else repr(text)[1:-1] for text, supervised in view.text
    )
    yield f"prompt: {view.prompt_length} tokens"
    yield f"  {repr(view.prompt)[1:-1]}"
    yield ""
    yield from _table([*_shown(view.tokens)])
    yield ""
    yield view.conclusion


def _shown(tokens: Sequence[TokenRow]) -> Iterator[TokenRow | int]:
    """Yields the tokens; replaces the middle of a long run of tokens of the same kind by their number."""
    begin = 0
    for n, each in enumerate(tokens):
        is_last = n + 1 == len(tokens)
        if is_last or tokens[n + 1].kind != each.kind:
            part = tokens[begin : n + 1]
            left_out = len(part) - 2 * _EDGE
            if left_out > 1:
                yield from part[:_EDGE]
                yield left_out
                part = part[-_EDGE:]
            yield from part
            begin = n + 1


def _table(rows: Sequence[TokenRow | int]) -> Iterator[str]:
    head = ("token", "", "id", "training text", "id", "prompt")
    cells = [each if isinstance(each, int) else _cells(each) for each in rows]
    full = [head, *(each for each in cells if not isinstance(each, int))]
    widths = [max(len(row[column]) for row in full) for column in range(len(head))]
    for each in (head, *cells):
        if isinstance(each, int):
            yield f"  ... {each} more tokens of the same kind"
        else:
            number, mark, due_id, due, sent_id, sent = each
            line = (
                f"{number:>{widths[0]}} {mark:<{widths[1]}}  {due_id:>{widths[2]}}  {due:<{widths[3]}}"
                f"  {sent_id:>{widths[4]}}  {sent}"
            )
            yield line.rstrip()


def _cells(row: TokenRow) -> tuple[str, ...]:
    mark = ("*" if row.is_supervised else "") + ("!" if row.differs else "")
    due = ("", "") if row.due_id is None else (str(row.due_id), repr(row.due))
    sent = ("", "") if row.sent_id is None else (str(row.sent_id), repr(row.sent))
    return (str(row.index), mark, *due, *sent)
