"""Shows one row as training text and as prompt, token by token."""

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
    """One token position in training text and prompt.

    Attributes:
        index: index of the token.
        due_id: token id in the training text; None past its end.
        due: text of that token.
        sent_id: token id in the prompt; None past its end.
        sent: text of that token.
        is_supervised: whether the token has a label in training.
    """

    index: int
    due_id: int | None
    due: str
    sent_id: int | None
    sent: str
    is_supervised: bool

    @property
    def differs(self) -> bool:
        """Whether the prompt has another token at this position."""
        return self.sent_id is not None and self.sent_id != self.due_id

    @property
    def kind(self) -> tuple[bool, bool, bool]:
        """Key that changes where supervision begins or ends, where the prompt differs, and where the prompt ends."""
        return self.is_supervised, self.differs, self.sent_id is None


@dataclass(frozen=True)
class TokenView:
    """A row as training text and as prompt.

    Attributes:
        number: number of the row, from 1.
        total: number of rows in the file.
        wording: format of the texts, in words.
        source: origin of the tokenizer.
        labels: which tokens are supervised.
        tokens: token positions, in order.
        text: the training text, split into supervised and unsupervised parts; each part with whether it is supervised.
        prompt: text of the prompt.
        parting: where the prompt diverges from the training text; None if it is a prefix.
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
        """Number of tokens of the training text."""
        return sum(each.due_id is not None for each in self.tokens)

    @property
    def prompt_length(self) -> int:
        """Number of tokens of the prompt."""
        return sum(each.sent_id is not None for each in self.tokens)

    @property
    def supervised(self) -> int:
        """Number of tokens with a label."""
        return sum(each.is_supervised for each in self.tokens)

    @property
    def conclusion(self) -> str:
        """Whether the prompt is a prefix of the training text, in one line."""
        if self.parting is None:
            return f"The prompt is a prefix of the training text, token by token: all {self.prompt_length} tokens."
        return (
            f"The prompt is not a prefix of the training text: they differ from token {self.parting.index} of"
            f" {self.parting.length} on; {self.parting.reason}; {self.parting.remedy}."
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
    """Shows a row as training text and as prompt.

    Args:
        folder: folder of the adapter; its tokenizer and template take precedence over the base model's.
        data: data file.
        base: name or folder of the base model; None takes the one named in the adapter's configuration.
        number: number of the row, from 1.
        prompt: format of the texts, with ``{question}`` and ``{answer}`` in it; None if not given.
        chat_template: "tokenizer", or the path of a template file; None if not given.
        labels: which tokens are supervised.

    Raises:
        SubmissionError: the folder or its tokenizer does not exist, or the options are inconsistent.
        DataError: the file has no such row, or the row cannot be read or does not fit the format.
        BaseModelError: the base model is not available.
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
            raise SubmissionError(
                "--labels assistant: needs a chat template, which marks the assistant's tokens; give --chat-template"
            )
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
