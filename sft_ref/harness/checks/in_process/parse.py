"""Checks of the stage parse: from completion to number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import ScriptedOutcome, WrongAnswersWritten
from sft_ref.harness.evidence.in_process.implementation_evidence import Parser
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.instruments.encoding import decode
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TRUNCATIONS = 200
_BABBLE = 64


@check(
    "PRS-002",
    "The parser returns an answer for any text that the model generates, truncated anywhere",
    why="A model can generate any text, and its token budget can end anywhere. One exception ends the whole test.",
    remedy="Return NaN if the text contains no number.",
)
def whatever_is_written_gives_a_number(
    targets_written: ScriptedOutcome, tokenizer: PreTrainedTokenizerBase, task: Task, parse: Parser
) -> None:
    """PRS-002."""
    import torch

    kinds = str if task.is_text else (int, float)
    cut = [text[:end] for text in targets_written.parsed for end in range(len(text))]
    generator = torch.Generator().manual_seed(0)
    babble = [
        decode(tokenizer, torch.randint(len(tokenizer), (12,), generator=generator).tolist()) for _ in range(_BABBLE)
    ]
    for text in (*cut[:: max(1, len(cut) // _TRUNCATIONS)], *babble):
        value = parse(text)
        if not isinstance(value, kinds):
            raise Failure(f"the parser returns {value!r}", "a text" if kinds is str else "a float", text)


@check(
    "PRS-004",
    "Answers come from the model",
    why="Answers that are looked up or computed score without any training, and hide every fault of it.",
    remedy="Return what the parser reads in the model's text, and NaN if it reads no number.",
    source="course submission S5",
)
def answers_come_from_the_model(wrong_answers_written: WrongAnswersWritten, task: Task) -> None:
    """PRS-004: Makes the model generate wrong answers, or nothing at all; the true answer must not be returned.

    `GEN-009` already reports a lookup inside generation, which changes the parsed text.
    """
    found = wrong_answers_written
    for written, answers in found.answers.items():
        for answer, question, truth in zip(answers, found.questions, found.truths, strict=True):
            if task.is_right(answer, truth):
                raise Failure(f"the answer is {answer}, the true one", f"{written}, as the model generates", question)


@check(
    "PRS-006",
    "The parser returns a float for any text, and never infinity",
    level=Level.CONTRACT,
    why="float() accepts digits of other scripts, underscores and inf, and overflows to infinity.",
    remedy="Match the text against one pattern before calling float().",
    depends_on=("PRS-002",),
)
def any_text_gives_a_finite_number_or_nan(task: Task, parse: Parser) -> None:
    """PRS-006."""
    task.require_numbers()
    pieces = st.sampled_from([OPEN_TAG, CLOSE_TAG, "1", "-", ".", "e", "+", "9" * 400, "inf", "nan", "٣", "1_0", " "])

    @settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @example(f"{OPEN_TAG}inf{CLOSE_TAG}")  # the drawn texts depend on the version of hypothesis
    @given(st.text(max_size=20) | st.lists(pieces, max_size=6).map("".join))
    def parse_any(text: str) -> None:
        value = parse(text)
        if not isinstance(value, float) or math.isinf(value):
            raise Failure(f"the parser returns {value!r}", "a finite float or nan", text)

    parse_any()


@check(
    "PRS-007",
    "The parser accepts one decimal between the tags, and returns NaN for anything else",
    level=Level.CONTRACT,
    why="If the parser guesses at numbers, accuracy depends on the guess, and hides a model that does not keep to"
    " the format.",
    remedy="Take the text between the last open tag and the first closing tag; return NaN unless all of it is a"
    " number.",
    depends_on=("PRS-003",),
)
def only_a_whole_number_is_an_answer(task: Task, parse: Parser) -> None:
    """PRS-007."""
    task.require_numbers()
    numbers = {"6000.0": 6000.0, "-3.5": -3.5, "+.5": 0.5, " 7. ": 7.0, "1e+16": 1e16, "2.5E-3": 0.0025}
    for text, due in numbers.items():
        for whole in (text, f"{text}{CLOSE_TAG}", f"{OPEN_TAG}{text}{CLOSE_TAG} 8{CLOSE_TAG}"):
            value = parse(whole)
            if value != due:
                raise Failure(f"the parser returns {value}", due, whole)
    for text in ("6 or 7", "1,000", "12 km", "0x10", "1_0", "٣", "6.0.0", "- 3", "1e", "nan7", "½"):
        value = parse(f"{text}{CLOSE_TAG}")
        if not math.isnan(value):
            raise Failure(f"the parser returns {value}", "nan", text)
