"""Dictation: the puppet says chosen numbers as an implementation would write them, and what comes of them is heard.

Between the model's mouth and the number that `answer` gives stands the parser. So the texts that reach the parser are
heard too, and a fault of generation is told from one of parsing.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from unittest import mock

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.instruments.puppet import Ids, Moment, puppet
from sft_ref.harness.instruments.watching import computed_dtypes
from sft_ref.reference.data import Row

from .context import Context

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNITS = (
    "florps",
    "zindles",
    "quux",
    "wibbles",
    "snarks",
    "tove",
    "borogoves",
    "mome",
    "raths",
    "jubs",
    "frums",
    "gyre",
)
FORMS = (
    "{a} {b} in {c}?",
    "How many {c} are there in {a} {b}?",
    "Please tell me what {a} {b} comes to in {c}, my friend.",
)
_NUMERAL = re.compile(r"[-+]?\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


def invent(count: int, seed: int) -> list[str]:
    """Questions of unlike lengths about units that do not exist, so that their answers stand in no data."""
    rng = random.Random(seed)
    pairs = rng.sample([(b, c) for b in UNITS for c in UNITS if b != c], count)
    return [FORMS[i % len(FORMS)].format(a=rng.randint(2, 9), b=b, c=c) for i, (b, c) in enumerate(pairs)]


@dataclass(frozen=True)
class Line:
    """What is to be said after one question.

    Attributes:
        text: what is to be said, as the implementation supervises it, special tokens left out.
        numeral: the number as it writes it.
        keys: for the puppet: the question, or the ids of prompts that hold it, and what follows them.
    """

    question: str
    text: str
    numeral: str
    keys: dict[str | Ids, Ids]


def write_lines(context: Context, rows: Sequence[Row]) -> list[Line]:
    """Lines in the implementation's own convention, read from the batch that it would train on.

    Raises:
        Unavailable: nothing is masked, and the training text does not hold the question.
    """
    batch = context.call(context.implementation.training_batch, rows)
    tokenizer = context.answerer.tokenizer
    lines = []
    for number, (question, value) in enumerate(rows):
        kept = batch.attention_mask[number].bool()
        ids, labels = batch.input_ids[number][kept], batch.labels[number][kept]
        supervised = labels != -100  # noqa: PLR2004  # torch's own
        example = tuple(ids.tolist())
        # of a text that is supervised whole, the first token and an end that equals padding may still carry none
        if supervised.sum() >= len(example) - 2:
            cuts = [n for n in range(1, len(example)) if question in decode(tokenizer, example[:n])]
            keys: dict[str | Ids, Ids] = {example[:n]: example[n:] for n in cuts}
            if not keys:
                raise Unavailable("no label is masked, and the training text does not hold the question as it is")
        else:
            target = tuple(ids[supervised].tolist())
            keys = {question: target, example[: int(supervised.int().argmax())]: target}
        text = decode(tokenizer, next(iter(keys.values())))
        numerals = numerals_in(text)
        if not numerals:
            raise Failure(f"a target without a number: {text!r}", f"one with {value}", question)
        lines.append(Line(question, text, min(numerals, key=lambda n: abs(to_number(n) - value)), keys))
    return lines


def to_number(numeral: str) -> float:
    """The number that a numeral stands for."""
    return float(numeral.replace(",", "").replace("_", ""))


@dataclass(frozen=True)
class Heard:
    """What came of a dictation.

    Attributes:
        answers: what `answer` gave.
        texts: what reached the parser, one a question; None where it was not called once a question.
        moments: by question, the model's own logits at each step.
        dtype: the coarsest that a Linear layer computed in.
    """

    answers: list[float]
    texts: list[str] | None
    moments: dict[str, list[Moment]]
    dtype: torch.dtype

    def logits(self, question: str) -> torch.Tensor:
        """The logits of each step, (steps, vocabulary), in fp32.

        Raises:
            Unavailable: the model was not asked this question where it can be heard.
        """
        if question not in self.moments:
            raise Unavailable(f"no forward of `model` was heard for {question!r}")
        return torch.stack([moment.logits for moment in self.moments[question]])


def dictate(context: Context, lines: Sequence[Line], *, end_at_once: bool = False) -> Heard:
    """Asks all questions in one call while the puppet says their lines, or nothing but the end."""
    answerer = context.answerer
    scripts = {key: () if end_at_once else ids for line in lines for key, ids in line.keys.items()}
    questions = {key: line.question for line in lines for key in line.keys}
    with ExitStack() as stack:
        dtypes = stack.enter_context(computed_dtypes(answerer.model))
        held = stack.enter_context(puppet(answerer.model, answerer.tokenizer, scripts))
        texts = stack.enter_context(overhear(answerer))
        answers = context.call(answerer.answer, *(line.question for line in lines))
    if held.unscripted:
        raise Failure(
            f"the prompt {held.unscripted[0]!r}",
            "one that holds the question, or is where its training text leaves off",
            [line.question for line in lines],
        )
    if len(answers) != len(lines):
        raise Failure(f"{len(answers)} answers", f"{len(lines)}, one a question", [line.question for line in lines])
    moments: dict[str, list[Moment]] = {}
    for moment in held.moments:
        question = questions.get(moment.row.key or "", "")
        if len(moment.row.said) == len(moments.get(question, [])):  # a question asked twice adds nothing
            moments.setdefault(question, []).append(moment)
    coarsest = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
    return Heard(answers, texts if len(texts) == len(lines) else None, moments, coarsest)


@contextmanager
def overhear(answerer: Answerer) -> Iterator[list[str]]:
    """Within it, what reaches `parse_answer` is added to the list; where the parser raises, it gives NaN instead.

    What a parser makes of a text is for the checks of its own stage to say.
    """
    texts: list[str] = []
    parse = answerer.parse_answer

    def listen(text: str) -> float:
        texts.append(text)
        try:
            return parse(text)
        except Exception:  # noqa: BLE001  # foreign code raises anything
            return math.nan

    with mock.patch.object(answerer, "parse_answer", listen):
        yield texts


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of ids, special tokens left out."""
    return cast("str", tokenizer.decode([*ids], skip_special_tokens=True))


def numerals_in(text: str) -> list[str]:
    """The numerals of a text, each whole."""
    return _NUMERAL.findall(text)
