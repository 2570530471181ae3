"""One row as training text and as prompt, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path

from sft_ref.errors import DataError, SubmissionError
from sft_ref.harness.evidence.answers import TEMPLATE
from sft_ref.harness.evidence.dataset.rows import Labels, Parting
from sft_ref.harness.recorders.folder.answers import check_writing, choose_wording, read_row, read_template
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.io.foreign import foreign_files
from sft_ref.reference.tokens import IGNORE_INDEX

from .encoding import decode, encode, find_parting, label, token_text


@dataclass(frozen=True)
class TokenRow:
    """One place in training text and prompt.

    Attributes:
        index: of the token.
        due_id: id in the training text; None behind its end.
        due: its text.
        sent_id: id in the prompt; None behind its end.
        sent: its text.
        is_supervised: whether it carries a label in training.
    """

    index: int
    due_id: int | None
    due: str
    sent_id: int | None
    sent: str
    is_supervised: bool

    @property
    def differs(self) -> bool:
        """Whether the prompt has another token here."""
        return self.sent_id is not None and self.sent_id != self.due_id

    @property
    def kind(self) -> tuple[bool, bool, bool]:
        """What a reader looks for: places at which one of these changes."""
        return self.is_supervised, self.differs, self.sent_id is None


@dataclass(frozen=True)
class TokenView:
    """A row as it is trained and as it is sent.

    Attributes:
        number: of the row, from 1.
        total: rows in the file.
        wording: how texts are written, in words.
        source: whose tokenizer it is.
        labels: which tokens are supervised.
        tokens: places, from the first.
        text: the training text in parts that are supervised and parts that are not, each with whether it is.
        prompt: the text of the prompt.
        parting: where the prompt leaves the training text; None where it is a prefix.
    """

    number: int
    total: int
    wording: str
    source: str
    labels: Labels
    tokens: tuple[TokenRow, ...]
    text: tuple[tuple[str, bool], ...]
    prompt: str
    parting: Parting | None

    @property
    def text_length(self) -> int:
        """Tokens of the training text."""
        return sum(each.due_id is not None for each in self.tokens)

    @property
    def prompt_length(self) -> int:
        """Tokens of the prompt."""
        return sum(each.sent_id is not None for each in self.tokens)

    @property
    def supervised(self) -> int:
        """Tokens with a label."""
        return sum(each.is_supervised for each in self.tokens)

    @property
    def conclusion(self) -> str:
        """Whether the prompt is a prefix of the training text, in one line."""
        if self.parting is None:
            return f"The prompt is a prefix of the training text, token by token: all {self.prompt_length} tokens."
        return (
            f"The prompt is no prefix of the training text: they part at token {self.parting.index} of"
            f" {self.parting.length}; {self.parting.reason}; {self.parting.remedy}."
        )


def view_row(
    folder: Path,
    data: Path,
    *,
    base: str | None = None,
    number: int = 1,
    prompt: str | None = None,
    chat_template: str | None = None,
    labels: Labels = "completion",
) -> TokenView:
    """A row as it is trained and as it is sent.

    Args:
        folder: of the adapter, whose tokenizer and template come before its base's.
        data: file of rows.
        base: of the adapter; None takes the one that its configuration names.
        number: of the row, from 1.
        prompt: how texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not given.
        chat_template: "tokenizer", or the name of a file; None where that is not given.
        labels: which tokens are supervised.

    Raises:
        SubmissionError: there is no such folder, no tokenizer, or the options do not go together.
        DataError: the file has no such row, or it cannot be read or written so.
        BaseModelError: the base is not at hand.
    """
    check_writing(prompt, chat_template)
    row, total = read_row(data, number, prompt=prompt)
    found = load_tokenizer_of(folder, base)
    tokenizer, template = found.tokenizer, read_template(chat_template, found.template)
    by_name = chat_template is not None
    wording = choose_wording([row], tokenizer, prompt=prompt, template=template, by_name=by_name, data=data)
    if wording.name != TEMPLATE:
        template = None
        if labels == "assistant":
            raise SubmissionError("--labels assistant: is for a chat template, which marks them; give --chat-template")
    (text,) = wording.texts
    with foreign_files(DataError, f"{data}: row {number} cannot be tokenized"):
        encoded = encode(text, tokenizer)
        given = label(encoded, labels, tokenizer, template=template, row=row)
    places = enumerate(zip_longest(encoded.ids, encoded.prompt, given))
    tokens = tuple(
        TokenRow(
            n,
            due,
            "" if due is None else token_text(due, tokenizer),
            sent,
            "" if sent is None else token_text(sent, tokenizer),
            each not in (None, IGNORE_INDEX),
        )
        for n, (due, sent, each) in places
    )
    parting = find_parting(text, encoded, tokenizer)
    runs = groupby(zip(encoded.ids, given, strict=True), lambda pair: pair[1] != IGNORE_INDEX)
    parts = tuple((decode([each for each, _ in run], tokenizer), is_supervised) for is_supervised, run in runs)
    sent_text = decode(encoded.prompt, tokenizer)
    return TokenView(number, total, wording.name, found.source, labels, tokens, parts, sent_text, parting)
