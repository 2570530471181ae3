"""Chooses the format of the rows: --prompt, --chat-template, or neither."""

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
"""The value of --chat-template that selects the tokenizer's template."""

_REFUSAL = Refusal(SubmissionError, f"give {TOKENIZER}, or a file with a chat template in Jinja")

EXAMPLE = Row((("user", "question"),), "answer", None)
"""Placeholder row that shows the format when no rows are given."""


def check_writing(prompt: str | None, chat_template: str | None) -> None:
    """Refuses two formats at once, and a prompt that lacks the position of question or answer.

    Raises:
        SubmissionError: the options cannot be used.
    """
    if prompt is not None and chat_template is not None:
        raise SubmissionError("--prompt and --chat-template: both say how texts are formatted; give one of them")
    if prompt is not None:
        check_prompt(prompt)


def read_template(chat_template: str | None, own: str | None) -> str | None:
    """Returns the chat template to use.

    Args:
        chat_template: `TOKENIZER`, or the path of a file; None takes the tokenizer's template if there is one.
        own: template of the tokenizer.

    Raises:
        SubmissionError: the tokenizer's template is requested but does not exist, or the file cannot be read.
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
        raise _REFUSAL.of(chat_template, "it is not a text in UTF-8") from error


def choose_wording(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str | None,
    template: str | None,
    by_name: bool,
    data: Path | None = None,
) -> Wording:
    """Formats rows by --prompt or --chat-template; without either, as complete prompts, or by the tokenizer's template.

    Args:
        rows: rows with questions and answers.
        tokenizer: tokenizer of the texts.
        prompt: value of --prompt; None if not given.
        template: result of `read_template`.
        by_name: whether --chat-template is given.
        data: file of the rows; None if they come from no file.

    Raises:
        DataError: a row does not fit the format, or the format is unknown.
    """
    if prompt is not None:
        if many := next((row for row in rows if sum(role == "user" for role, _ in row.messages) > 1), None):
            raise DataError(
                f"{data}: row {many.number} has several questions, and --prompt formats only one; give --chat-template"
            )
        return as_given(prompt, rows, tokenizer)
    if not by_name and (literal := as_literal(rows, tokenizer)):
        return literal
    if template is None:
        raise DataError(f"{data}: the format of its rows as texts is unknown; give --prompt, or --chat-template FILE")
    try:
        return by_template(template, rows, tokenizer)
    except DataError as error:
        raise DataError(f"{data or '--chat-template'}: {error}") from error
