"""The texts that are exchanged between a fine-tune and its model, as token ids and decoded."""

from __future__ import annotations

from dataclasses import dataclass

from sft_ref.reference.tokens import IGNORE_INDEX

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Tokenizer:
    """The properties of the base model's tokenizer that the checks need."""

    size: int
    eos_token: str
    eos_token_id: int
    special_ids: Ids


@dataclass(frozen=True)
class TrainingText:
    """A training text that contains a question of the data.

    Attributes:
        question, value: the question and its answer in the data.
        ids, labels: token ids and labels of the text.
        begin, end: token indices of the numeral; equal if the text contains no valid numeral.
        numeral: the answer as written in the text; if no numeral is valid, the closest one.
        text: the whole text, special tokens included.
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
        """Whether the text contains the answer."""
        return self.end > self.begin

    @property
    def first_label(self) -> int | None:
        """Index of the first labelled token."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORE_INDEX), None)

    def decode(self, begin: int, end: int) -> str:
        """Returns the text of a range of tokens."""
        return "".join(self.tokens[begin:end])

    def is_partial(self, prompt: int) -> bool:
        """Whether a prompt of `prompt` tokens ends within a word, tag, number or white space before the labels."""
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
    """The model's completion of one prompt.

    Attributes:
        prompt: the prompt with its special tokens.
        text: text of the new tokens, special tokens included.
        unlikely: number of new tokens that are not the most likely ones.
        is_continued: whether the beginning of the prompt is in a cache that was not observed.
    """

    prompt: Prompt
    new_token_ids: Ids
    text: str
    unlikely: int
    is_continued: bool


@dataclass(frozen=True)
class Form:
    """The format of question and answer in training texts.

    Attributes:
        markup: text between question and number, such as a tag, without the question mark.
        closing: text that ends an answer, without special tokens.
        supervised_lead: supervised text before the number.
        is_regular: whether most training texts have this format up to their number, so that it also applies to fresh
            questions.
    """

    markup: str
    closing: str
    supervised_lead: str
    is_regular: bool
