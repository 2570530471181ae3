"""Which of the ways to write rows the user means: --prompt, --chat-template, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.errors import DataError, SubmissionError
from sft_ref.io.reading import Refusal, read_bytes
from sft_ref.io.rows.forms import Row

from .wording import Wording, as_given, as_literal, by_template, check_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER = "tokenizer"
"""The value of --chat-template that stands for the template of the tokenizer."""

_REFUSAL = Refusal(SubmissionError, f"give {TOKENIZER}, or a file with a chat template in Jinja")

EXAMPLE = Row((("user", "question"),), "answer", None)
"""A row where none is given, to see how texts are written."""


def check_writing(prompt: str | None, chat_template: str | None) -> None:
    """Refuses two ways to write texts, and a prompt that does not say where question and answer stand.

    Raises:
        SubmissionError: they cannot be used.
    """
    if prompt is not None and chat_template is not None:
        raise SubmissionError("--prompt and --chat-template: each says how texts are written; give one of them")
    if prompt is not None:
        check_prompt(prompt)


def read_template(chat_template: str | None, own: str | None) -> str | None:
    """The chat template to use.

    Args:
        chat_template: `TOKENIZER`, or the name of a file; None takes the tokenizer's where there is one.
        own: the template of the tokenizer.

    Raises:
        SubmissionError: the tokenizer has none and one is asked for, or the file cannot be read.
    """
    if chat_template is None:
        return own
    if chat_template == TOKENIZER:
        if own is None:
            raise SubmissionError(
                f"--chat-template {TOKENIZER}: neither the adapter nor its base has a chat template; give a file"
            )
        return own
    content = read_bytes(Path(chat_template), _REFUSAL)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _REFUSAL.of(chat_template, "it is no text in UTF-8") from error


def choose_wording(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str | None,
    template: str | None,
    by_name: bool,
    data: Path | None = None,
) -> Wording:
    """Rows as --prompt or --chat-template writes them; without either, as whole prompts, or by the template.

    Args:
        rows: with questions and answers.
        tokenizer: that the texts are for.
        prompt: of --prompt; None where it is not given.
        template: as `read_template` gives it.
        by_name: whether --chat-template is given.
        data: the file of the rows; None where they are no rows of a file.

    Raises:
        DataError: a row cannot be written so, or nothing says how.
    """
    if prompt is not None:
        if many := next((row for row in rows if sum(role == "user" for role, _ in row.messages) > 1), None):
            raise DataError(
                f"{data}: row {many.number} asks more than once, and --prompt writes one question; give --chat-template"
            )
        return as_given(prompt, rows, tokenizer)
    if not by_name and (literal := as_literal(rows, tokenizer)):
        return literal
    if template is None:
        raise DataError(
            f"{data}: nothing says how its rows are written as texts; give --prompt, or --chat-template FILE"
        )
    try:
        return by_template(template, rows, tokenizer)
    except DataError as error:
        raise DataError(f"{data or '--chat-template'}: {error}") from error
