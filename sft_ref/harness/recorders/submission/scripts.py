"""Scripts completions for a submission's model in its own format: known numbers, so that losing one is detectable."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from sft_ref.harness.core.numerals import to_number
from sft_ref.harness.core.training_examples import Text
from sft_ref.harness.instruments.convention import Convention, core, find_question
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.recorders.in_process.invented import invent
from sft_ref.reference.data import RELATIVE_TOLERANCE, Row, is_answer_valid

NUMBERS = (1000000000000000.0, 111111.111, 987654.321, 0.125, 999999999999.999, 24.0, 40404.0, 7070707.0, 8080.25)
"""Digit runs, the greatest answer of the data, small and long numbers."""
NEGATIVE = -4321.5

_SILENCE = " no idea at all"
_FACTORS = (1.0, 1.3, 1.0, 1.07, None)
"""Answers to a benchmark, in rotation, relative to the truth: two right, two wrong, one missing."""
_FAR = 1.3
"""A wrong answer whose every third sample is right: their majority, their median and their mean remain wrong."""
_ALONE = 6

_TAIL = 8
"""Number of trailing characters that identify the end of a question."""

ScriptLine = dict[str, Any]
ScriptedCall = dict[str, Any]


class ScriptWriter:
    """Writes scripts in a convention.

    Args:
        convention: convention of the training texts.
        texts: training texts.
        tokenizer: tokenizer of the base model.
    """

    def __init__(self, convention: Convention, texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase) -> None:
        self.convention, self.tokenizer = convention, tokenizer
        text = next((each for each in texts if each.is_answered and each.example.begin is not None), None)
        self.supervised_lead = _lead(text, tokenizer) if text else ""
        """Supervised text between question and number."""

    def line(self, question: str, numeral: str) -> ScriptLine:
        """Returns the script after a question: ids of the whole text, and of the continuation for any other prompt."""
        after = self.convention.after
        return {
            "question": core(question),
            "whole": list(encode(self.tokenizer, self.convention.text(question, numeral))),
            "target": list(encode(self.tokenizer, f"{self.supervised_lead}{numeral}{after}")),
            "numeral": numeral,
        }

    def silence(self, question: str) -> ScriptLine:
        """Returns a line without a number."""
        words = encode(self.tokenizer, _SILENCE)
        lead = encode(self.tokenizer, self.convention.lead(question))
        return {"question": core(question), "whole": [*lead, *words], "target": list(words), "numeral": ""}

    def write_calls(
        self, rows: Sequence[Row], unseen: Sequence[Row], questions: Sequence[Row], seed: int
    ) -> list[ScriptedCall]:
        """Returns calls of `answer`: invented questions together and alone, negative, known, silent and unscripted."""
        invented = [f"{core(question)}?" for question in invent(len(NUMBERS) + 4, seed)]
        together, (one, other, silent, negative) = invented[: len(NUMBERS)], invented[len(NUMBERS) :]
        numbers = random.Random(seed).sample(NUMBERS, len(NUMBERS))
        known = [*rows[:4], *unseen[:4]]
        planned = (
            ("together", [*zip(together, numbers, strict=True)]),
            ("alone", [(one, NUMBERS[3])]),
            ("alone", [(other, NUMBERS[0])]),
            ("negative", [(negative, NEGATIVE)]),
            ("known", [(question, 3 * value + 17) for question, value in known]),
        )
        scripts = [
            _script(kind, [self.line(question, self.convention.write(value)) for question, value in pairs], pairs)
            for kind, pairs in planned
        ]
        mute = [(silent, 0.0), *rows[-2:], *unseen[4:6]]  # not asked before, as answers may be cached
        scripts.append(_script("silent", [self.silence(question) for question, _ in mute], mute))
        return scripts + [_script("unscripted", [], [row]) for row in questions[:_ALONE]]

    def write_parser_texts(self) -> list[str]:
        """Returns texts for the parser: the training text from the number on, without and with the markup before it."""
        numerals = [self.convention.write(value) for value in NUMBERS[:5]]
        after = self.convention.after.replace(str(self.tokenizer.eos_token), "")
        lead = self.convention.markup
        return [f"{before}{numeral}{after}" for before in ("", lead) for numeral in numerals]

    def write_benchmark(self, rows: Sequence[Row]) -> list[ScriptLine]:
        """Returns lines for all rows of the validation data: right, wrong and silent in rotation.

        Of a wrong answer, every third sample is right, so that accuracy is too high if any right sample counts.
        """
        lines = []
        for number, (question, value) in enumerate(rows):
            factor = _FACTORS[number % len(_FACTORS)]
            numeral = "" if factor is None else self.convention.write(value * factor)
            is_written = numeral and _is_clear(to_number(numeral), value)
            line = self.line(question, numeral) if is_written else self.silence(question)
            if is_written and factor == _FAR:
                line["third"] = self.line(question, self.convention.write(value))
            lines.append(line)
        return lines


def _is_clear(answer: float, truth: float) -> bool:
    """Returns whether an answer is clearly right or wrong, however it and the truth are rounded for comparison."""
    return is_answer_valid(answer, truth) == (abs(answer - truth) < RELATIVE_TOLERANCE * abs(truth))


def _script(kind: str, lines: list[ScriptLine], pairs: Sequence[Row]) -> ScriptedCall:
    return {"kind": kind, "questions": [question for question, _ in pairs], "lines": lines}


def _lead(text: Text, tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the supervised part of a training text between question and number."""
    supervised = decode(tokenizer, text.example.ids[text.example.begin : text.begin])
    is_whole = find_question(core(text.question)[-_TAIL:], supervised) is not None
    return text.between.lstrip("?.! ") if is_whole else supervised
