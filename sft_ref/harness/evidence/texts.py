"""The texts that pass between a fine-tune and its model, as ids and decoded."""

from __future__ import annotations

from dataclasses import dataclass

from sft_ref.reference.tokens import IGNORE_INDEX

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Tokenizer:
    """What the checks need to know of the base's tokenizer."""

    size: int
    eos_token: str
    eos_token_id: int
    special_ids: Ids


@dataclass(frozen=True)
class TrainingText:
    """A training text that holds a question of the data.

    Attributes:
        question, value: of the data.
        ids, labels: of its tokens.
        begin, end: indices of the numeral's tokens; equal where the text holds no valid numeral.
        numeral: as it is written; of an invalid answer the nearest one.
        text: all of it, special tokens included.
        tokens: its tokens, decoded one by one.
    """

    question: str
    value: float
    ids: Ids
    labels: Ids
    begin: int
    end: int
    numeral: str
    text: str
    tokens: tuple[str, ...]

    @property
    def is_answered(self) -> bool:
        """Whether the text holds the answer."""
        return self.end > self.begin

    @property
    def first_label(self) -> int | None:
        """Index of the first labelled token."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORE_INDEX), None)

    def decode(self, begin: int, end: int) -> str:
        """The text of some of its tokens."""
        return "".join(self.tokens[begin:end])

    def is_partial(self, prompt: int) -> bool:
        """Whether a prompt of that many tokens ends within a word, a tag, a number or white space before the labels."""
        begin = self.first_label or 0
        gap, rest = self.decode(prompt, begin), self.decode(begin, self.end)
        closed = gap.rstrip().endswith((">", ":", "=", "|", "]", "\n"))
        return not gap.strip() or not closed or rest.strip() != self.numeral


@dataclass(frozen=True)
class Prompt:
    """A prompt that reached the model."""

    ids: Ids
    text: str


@dataclass(frozen=True)
class Generation:
    """What the model wrote for one prompt.

    Attributes:
        prompt: with its special tokens.
        text: of the new tokens, special tokens included.
        unlikely: how many new tokens are not the likeliest.
        is_continued: whether the beginning of the prompt lies in a cache that was not observed.
    """

    prompt: Prompt
    new_token_ids: Ids
    text: str
    unlikely: int
    is_continued: bool


@dataclass(frozen=True)
class Form:
    """How training texts write question and answer.

    Attributes:
        markup: between question and number, such as a tag, without the question's mark.
        closing: what ends an answer, without special tokens.
        supervised_lead: what is supervised before the number.
        is_regular: whether most training texts are written so, up to their number: then fresh questions are, too.
    """

    markup: str
    closing: str
    supervised_lead: str
    is_regular: bool
