"""How a submission writes a question and its answer, read from the texts that reached its training."""

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
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LOOKED_AT = 400
_UNKNOWN = "\ufffd"
"""Stands for a token that was added to the tokenizer for training: without it, what it parts would run together."""
_SHORTEST = 4
"""Tokens that a text with a question has at least."""

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
"""Ways to write a number, as people write them; the first that fits is taken."""

SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper, str.title, str.capitalize)
"""Ways to spell a question."""


@dataclass(frozen=True)
class Convention:
    """How texts are written.

    Attributes:
        frames: what stands before and behind a question, up to the number, by the mark that the question ends with;
            the commonest for any other.
        after: what stands behind the number.
        write: how numbers are written.
        spell: how questions are spelt.
    """

    frames: Mapping[str, tuple[str, str]]
    after: str
    write: Callable[[float], str]
    spell: Callable[[str], str]

    @property
    def markup(self) -> str:
        """What stands between question and number, without the question's mark, such as a tag."""
        return next(iter(self.frames.values()))[1].lstrip("?.! ").strip()

    def lead(self, question: str) -> str:
        """A training text up to its number."""
        own = core(question)
        before, between = self.frames.get(question.strip()[len(own) :], next(iter(self.frames.values())))
        return f"{before}{self.spell(own)}{between}"

    def text(self, question: str, numeral: str) -> str:
        """A training text."""
        return f"{self.lead(question)}{numeral}{self.after}"


def core(question: str) -> str:
    """A question without the mark that it ends with, which prompts often change."""
    return question.strip().rstrip("?.! ")


def find_question(question: str, text: str) -> re.Match[str] | None:
    """Where a text has a question last, whatever its spaces, its case and its last mark: examples stand before."""
    return next(reversed([*_pattern(question).finditer(text)]), None)


def find_prompt(question: str, prompts: Sequence[str]) -> int | None:
    """Which prompt asks a question: of those that hold it the one that ends soonest after it, else it is an example."""
    held = [(len(text) - match.end(), i) for i, text in enumerate(prompts) if (match := find_question(question, text))]
    return min(held)[1] if held else None


@functools.lru_cache(maxsize=4096)
def _pattern(question: str) -> re.Pattern[str]:
    return re.compile(r"(?<!\d)" + r"\s+".join(map(re.escape, core(question).split())), re.IGNORECASE)


def read_texts(rows: Sequence[TrainingExample], data: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Text]:
    """The training texts that hold a question of the data, with the place of their answers.

    Of several questions the last is asked: those before it are examples. Of several numbers that are right the last is
    the answer, unless the first stands behind a tag and the last does not: then it is repeated.
    """
    asked = [(flat(core(row[0])), row) for row in data]
    found = []
    for example in [part for row in rows[:_LOOKED_AT] for part in unpack(row, asked, tokenizer)][:_LOOKED_AT]:
        text = decode(tokenizer, example.ids)
        whole = flat(text)
        held = [(row, match) for own, row in asked if own in whole and (match := find_question(row[0], text))]
        if held:
            found.append((example, *max(held, key=lambda each: (each[1].end(), -each[1].start()))))
    last, first = ([_read(tokenizer, place, *each) for each in found] for place in (-1, 0))
    return first if _count_tagged(first) > _count_tagged(last) else last


def unpack(
    row: TrainingExample, asked: Sequence[tuple[str, Row]], tokenizer: PreTrainedTokenizerBase
) -> Sequence[TrainingExample]:
    """The texts of a row that packs several, one behind the other; the row itself where it is one text.

    Packed texts end with the end of sequence, and what stands before their questions is the same in all. Examples of a
    few-shot prompt, and the turns of a conversation, differ from the first one in what stands before them.
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
    """What stands before the first question of the data in a text; None where it holds none."""
    whole = flat(text)
    held = [match for own, (question, _) in asked if own in whole and (match := find_question(question, text))]
    return text[: min(match.start() for match in held)] if held else None


def _count_tagged(texts: Sequence[Text]) -> int:
    return sum(text.between.rstrip().endswith(">") for text in texts)


def flat(text: str) -> str:
    """Text whatever its case and spaces."""
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
    """The commonest way in which questions and answers are written; None where no text holds its answer."""
    answered = [text for text in texts if text.is_answered]
    if not answered:
        return None
    frames, spell = _frames([(text.question, text.before, text.asked, text.between) for text in answered])
    after = Counter(map(_closing, answered)).most_common(1)[0][0]
    return Convention(frames, after, max(FORMATS, key=lambda form: _fits(form, answered)), spell)


def find_frame(questions: Sequence[str], prompts: Sequence[str]) -> Convention | None:
    """The commonest way in which prompts hold their questions, as `Convention.lead`; None where none holds its own."""
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
    """`frames` and `spell` of a Convention, from questions, what stands before each, its spelling, and what follows."""
    frames = {"": Counter((before, behind) for _, before, _, behind in held).most_common(1)[0][0]}
    for mark in {_mark(question) for question, *_ in held}:
        own = Counter((before, behind) for question, before, _, behind in held if _mark(question) == mark)
        frames[mark] = own.most_common(1)[0][0]
    return frames, max(SPELLINGS, key=lambda way: sum(way(core(question)) == asked for question, _, asked, _ in held))


def _closing(text: Text) -> str:
    """What stands behind an answer, up to where it is repeated."""
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


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of a text that already holds its special tokens."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of ids, special tokens and spaces as they are; of a token that is unknown here, one character."""
    size = len(tokenizer)
    if not all(0 <= token < size for token in ids):
        runs = itertools.groupby(ids, key=lambda token: 0 <= token < size)
        return "".join(decode(tokenizer, list(run)) if known else _UNKNOWN * len(list(run)) for known, run in runs)
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def masked(text: Text, begin: int) -> TrainingExample:
    """The same text, supervised from `begin` to its end: what its labels ought to be."""
    ids = text.example.ids
    return TrainingExample(ids, tuple(IGNORE_INDEX if n < begin else token for n, token in enumerate(ids)))
