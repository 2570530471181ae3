"""Infers how a submission formats a question and its answer, from the texts that reached its training."""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sft_ref.harness.core.numerals import NUMERAL, to_number
from sft_ref.harness.core.training_examples import Text, TrainingExample
from sft_ref.reference.data import Row, is_answer_valid

from .encoding import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOOKED_AT = 400
"""Maximum number of training texts that are read."""
_SHORTEST = 4
"""Minimum number of tokens in a text with a question."""

FORMATS: tuple[Callable[[float], str], ...] = (
    lambda value: repr(float(value)),
    lambda value: str(int(value)) if float(value).is_integer() else repr(float(value)),
    *(lambda value, digits=digits: str(round(float(value), digits)) for digits in range(1, 9)),
    *(lambda value, digits=digits: f"{value:.{digits}f}" for digits in range(1, 9)),
    *(lambda value, digits=digits: f"{value:.{digits}g}" for digits in range(3, 16)),
    *(lambda value, digits=digits: str(float(f"{value:.{digits}g}")) for digits in range(3, 16)),
    *(lambda value, digits=digits: f"{value:.{digits}e}" for digits in range(1, 16)),
    lambda value: f"{float(value):,}",
    lambda value: f"{int(value):,}" if float(value).is_integer() else f"{float(value):,}",
    *(lambda value, digits=digits: f"{round(float(value), digits):,}" for digits in range(1, 9)),
    *(lambda value, digits=digits: f"{value:,.{digits}f}" for digits in range(9)),
)
"""Common ways to format a number; the first that fits is used."""

SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper, str.title, str.capitalize)
"""Ways to change the case of a question."""


@dataclass(frozen=True)
class Convention:
    """The text format of questions and answers.

    Attributes:
        frames: maps the punctuation mark that ends a question to the texts before the question and between question and
            number; the first entry is the most common one, and is used for any other mark.
        after: the text after the number.
        write: function that formats a number.
        spell: function that sets the case of a question.
    """

    frames: Mapping[str, tuple[str, str]]
    after: str
    write: Callable[[float], str]
    spell: Callable[[str], str]

    @property
    def markup(self) -> str:
        """The text between question and number, such as a tag, without the question mark."""
        return next(iter(self.frames.values()))[1].lstrip("?.! ").strip()

    def lead(self, question: str) -> str:
        """Returns the training text of a question up to its number."""
        own = core(question)
        before, between = self.frames.get(question.strip()[len(own) :], next(iter(self.frames.values())))
        return f"{before}{self.spell(own)}{between}"

    def text(self, question: str, numeral: str) -> str:
        """Returns the training text of a question with this numeral."""
        return f"{self.lead(question)}{numeral}{self.after}"


def core(question: str) -> str:
    """Removes the punctuation mark that ends a question, since prompts often change it."""
    return question.strip().rstrip("?.! ")


def find_question(question: str, text: str) -> re.Match[str] | None:
    """Finds the last occurrence of a question in a text, ignoring spaces, case and the final mark.

    The last occurrence is the question that is asked: few-shot examples come before it.
    """
    return next(reversed([*_pattern(question).finditer(text)]), None)


def find_prompt(question: str, prompts: Sequence[str]) -> int | None:
    """Returns the index of the prompt that asks a question; None if no prompt contains it.

    Of several prompts that contain it, it is the one with the least text after the question; in the others, the
    question is an example.
    """
    held = [(len(text) - match.end(), i) for i, text in enumerate(prompts) if (match := find_question(question, text))]
    return min(held)[1] if held else None


@functools.lru_cache(maxsize=4096)
def _pattern(question: str) -> re.Pattern[str]:
    return re.compile(r"(?<!\d)" + r"\s+".join(map(re.escape, core(question).split())), re.IGNORECASE)


def read_texts(rows: Sequence[TrainingExample], data: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Text]:
    """Finds the training texts that contain a question of the data, and the positions of their answers.

    Of several questions in a text, the last is the one that is asked: those before it are examples. Of several right
    numbers, the last is the answer, unless the first follows a tag and the last does not: then the answer is repeated.
    """
    asked = [(flat(core(row[0])), row) for row in data]
    found = []
    for example in [part for row in _spread(rows) for part in unpack(row, asked, tokenizer)][:LOOKED_AT]:
        text = decode(tokenizer, example.ids)
        whole = flat(text)
        held = [(row, match) for own, row in asked if own in whole and (match := find_question(row[0], text))]
        if held:
            found.append((example, *max(held, key=lambda each: (each[1].end(), -each[1].start()))))
    last, first = ([_read(tokenizer, place, *each) for each in found] for place in (-1, 0))
    return first if _count_tagged(first) > _count_tagged(last) else last


def _spread(rows: Sequence[TrainingExample]) -> list[TrainingExample]:
    """Returns at most `LOOKED_AT` rows in their order: the first, and others up to the end, which may differ."""
    half = LOOKED_AT // 2
    return [*rows[:half], *rows[half :: max(1, -(-(len(rows) - half) // half))]]


def unpack(
    row: TrainingExample, asked: Sequence[tuple[str, Row]], tokenizer: PreTrainedTokenizerBase
) -> Sequence[TrainingExample]:
    """Splits a row of packed texts; returns the row itself if it is one text.

    Packed texts end with the end-of-sequence token, and all have the same text before their questions. In examples of a
    few-shot prompt and turns of a conversation, the text before the question differs from that of the first one.
    """
    ends = [n + 1 for n, token in enumerate(row.ids) if token == tokenizer.eos_token_id]
    if len(ends) < 2:  # noqa: PLR2004  # one text has one end
        return [row]
    bounds = [0, *ends, len(row.ids)]
    parts = [TrainingExample(row.ids[i:j], row.labels[i:j]) for i, j in itertools.pairwise(bounds) if i < j]
    befores = [_before(decode(tokenizer, part.ids), asked) if len(part.ids) >= _SHORTEST else None for part in parts]
    first = next((before for before in befores if before is not None), None)
    packed = [part for part, before in zip(parts, befores, strict=True) if before is not None]
    whole = befores[0] is not None and len(packed) > 1 and all(before in (first, None) for before in befores)
    return packed if whole and all(part.begin is not None for part in packed) else [row]


def _before(text: str, asked: Sequence[tuple[str, Row]]) -> str | None:
    """Returns the text before the first question of the data; None if the text contains none."""
    whole = flat(text)
    held = [match for own, (question, _) in asked if own in whole and (match := find_question(question, text))]
    return text[: min(match.start() for match in held)] if held else None


def _count_tagged(texts: Sequence[Text]) -> int:
    return sum(text.between.rstrip().endswith(">") for text in texts)


def flat(text: str) -> str:
    """Normalises case and spaces of a text."""
    return " ".join(text.lower().split())


def _read(
    tokenizer: PreTrainedTokenizerBase, place: int, example: TrainingExample, row: Row, asked: re.Match[str]
) -> Text:
    (question, value), text = row, asked.string
    before = text[: asked.start()]
    found = list(NUMERAL.finditer(text, asked.end()))
    valid = [each for each in found if is_answer_valid(to_number(each.group()), value)]
    if not valid:
        numeral = min((each.group() for each in found), key=lambda each: abs(to_number(each) - value), default="")
        return Text(example, question, value, 0, 0, before, "", numeral, "", asked.group())
    last = valid[place]
    places = range(len(example.ids))
    begin = bisect.bisect_right(places, last.start(), key=lambda n: len(decode(tokenizer, example.ids[: n + 1])))
    end = bisect.bisect_left(places, last.end(), key=lambda n: len(decode(tokenizer, example.ids[: n + 1]))) + 1
    between = text[asked.end() : last.start()]
    return Text(example, question, value, begin, end, before, between, last.group(), text[last.end() :], asked.group())


def find_convention(texts: Sequence[Text]) -> Convention | None:
    """Infers the most common format of questions and answers; None if no text contains its answer."""
    answered = [text for text in texts if text.is_answered]
    if not answered:
        return None
    frames, spell = _frames([(text.question, text.before, text.asked, text.between) for text in answered])
    after = Counter(map(_closing, answered)).most_common(1)[0][0]
    return Convention(frames, after, max(FORMATS, key=lambda form: _fits(form, answered)), spell)


def find_frame(questions: Sequence[str], prompts: Sequence[str]) -> Convention | None:
    """Infers the most common format of prompts, as `Convention.lead`; None if no prompt contains its question."""
    held = []
    for question, prompt in zip(questions, prompts, strict=True):
        if match := find_question(question, prompt):
            held.append((question, prompt[: match.start()], match.group(), prompt[match.end() :]))
    if not held:
        return None
    frames, spell = _frames(held)
    return Convention(frames, "", FORMATS[0], spell)


def _frames(
    held: Sequence[tuple[str, str, str, str]],
) -> tuple[dict[str, tuple[str, str]], Callable[[str], str]]:
    """Computes `frames` and `spell` of a Convention.

    Each entry of `held` is a question, the text before it, its spelling in the text, and the text after it.
    """
    frames = {"": Counter((before, behind) for _, before, _, behind in held).most_common(1)[0][0]}
    for mark in {_mark(question) for question, *_ in held}:
        own = Counter((before, behind) for question, before, _, behind in held if _mark(question) == mark)
        frames[mark] = own.most_common(1)[0][0]
    return frames, max(SPELLINGS, key=lambda way: sum(way(core(question)) == asked for question, _, asked, _ in held))


def _closing(text: Text) -> str:
    """Returns the text after an answer, up to where the answer is repeated."""
    again = next((each for each in NUMERAL.finditer(text.after) if each.group() == text.numeral), None)
    return text.after[: again.start()] if again else text.after


def _mark(question: str) -> str:
    return question.strip()[len(core(question)) :]


def _fits(form: Callable[[float], str], texts: Sequence[Text]) -> int:
    fitting = 0
    for text in texts[:100]:
        try:
            fitting += form(text.value) == text.numeral
        except (ValueError, OverflowError):
            return 0
    return fitting
