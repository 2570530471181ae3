"""Checks of the stage parse: from completion to number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.generation_recorder import record_generation
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.scripted_answers import (
    AnswerScript,
    ScriptedOutcome,
    run_script,
    write_answers,
    write_words,
)
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG

_TRUNCATIONS = 200
_BABBLE = 64
_ANSWERLESS = (
    "",
    " ",
    "no idea",
    CLOSE_TAG,
    f"{OPEN_TAG}{CLOSE_TAG}",
    f"{OPEN_TAG}many{CLOSE_TAG}",
    f"{OPEN_TAG}-.e+{CLOSE_TAG}",
    f"{OPEN_TAG}{OPEN_TAG}",
)


@check(
    "PRS-001",
    "Each training target is parsed as the answer it stands for",
    why="A parser that requires what the prompt has already consumed, or that reads numbers in another format, loses"
    " every answer, however good the model is.",
    remedy="Make parser and training text agree on the tags and on the format of numbers.",
    source="S2",
)
def what_was_taught_is_read(context: Context) -> None:
    """PRS-001: the model is made to write its training targets, in one call of `answer`."""
    answers = write_answers(context, context.probes)
    run = run_script(context, answers, keep_nan=False)
    for (_, value), answer, text in zip(context.probes, run.answers, _texts(run, answers), strict=True):
        if not context.task.is_right(answer, value):
            if run.texts is not None:
                context.call(context.answerer.parse_answer, text)  # an exception tells more than the NaN in its place
            raise Failure(f"the answer is {answer} for {text!r}", _due(context, value), text)


@check(
    "PRS-002",
    "The parser returns an answer for any text that the model generates, truncated anywhere",
    why="A model can generate any text, and its token budget can end anywhere. One exception ends the whole test.",
    remedy="Return NaN if the text contains no number.",
)
def whatever_is_written_gives_a_number(context: Context) -> None:
    """PRS-002."""
    import torch

    answerer, answers = context.answerer, write_answers(context, context.probes)
    kinds = str if context.task.is_text else (int, float)
    texts = _texts(run_script(context, answers, keep_nan=False), answers)
    cut = [text[:end] for text in texts for end in range(len(text))]
    generator = torch.Generator().manual_seed(0)
    babble = [
        decode(answerer.tokenizer, torch.randint(len(answerer.tokenizer), (12,), generator=generator).tolist())
        for _ in range(_BABBLE)
    ]
    for text in (*cut[:: max(1, len(cut) // _TRUNCATIONS)], *babble):
        value = context.call(answerer.parse_answer, text)
        if not isinstance(value, kinds):
            raise Failure(f"the parser returns {value!r}", "a text" if kinds is str else "a float", text)


@check(
    "PRS-003",
    "The parser returns NaN for a text without a digit",
    why="A constant in place of NaN counts as an answer, so that answer_rate is always 1.",
    remedy="Return float('nan') if there is no number.",
    depends_on=("PRS-002",),
    source="S4",
)
def no_constant_stands_for_nan(context: Context) -> None:
    """PRS-003."""
    _require_numbers(context)
    for text in _ANSWERLESS:
        value = context.call(context.answerer.parse_answer, text)
        if not math.isnan(value):
            raise Failure(f"the parser returns {value}", "nan", text)


@check(
    "PRS-004",
    "Answers come from the model",
    why="Answers that are looked up or computed score without any training, and hide every fault of it.",
    remedy="Return what the parser reads in the model's text, and NaN if it reads no number.",
    source="course submission S5",
)
def answers_come_from_the_model(context: Context) -> None:
    """Questions of both splits, to which the model gives a wrong answer, or nothing at all; the truth must not appear.

    A lookup inside generation changes the text that is parsed, so `GEN-009` has named it before.
    """
    rows = [*context.train_rows[4:10], *context.fresh_rows[4:10]]
    lines = write_answers(context, [(question, context.task.wrong(truth)) for question, truth in rows])
    for end_at_once, written in ((False, "a wrong answer"), (True, "nothing")):
        answers = run_script(context, lines, end_at_once=end_at_once).answers
        for answer, (question, truth) in zip(answers, rows, strict=True):
            if context.task.is_right(answer, truth):
                raise Failure(f"the answer is {answer}, the true one", f"{written}, as the model generates", question)


@check(
    "PRS-005",
    "The parser reads no number from the question",
    why="A number in the question is not an answer. Reading it hides that the model gave none.",
    remedy="Parse the new text only, or only what follows the prompt.",
    depends_on=("PRS-003",),
)
def nothing_is_read_from_the_question(context: Context) -> None:
    """PRS-005: the model is made to write words only."""
    _require_numbers(context)
    questions = [question for question, _ in context.probes]
    scripts = write_words(context, questions)
    answers = context.call(record_generation, context.answerer, *questions, scripts=scripts).answers
    for question, answer in zip(questions, answers, strict=True):
        if not math.isnan(answer):
            raise Failure(f"the answer is {answer}", "nan, for a completion of words", question)


@check(
    "PRS-006",
    "The parser returns a float for any text, and never infinity",
    level=Level.CONTRACT,
    why="float() accepts digits of other scripts, underscores and inf, and overflows to infinity.",
    remedy="Match the text against one pattern before calling float().",
    depends_on=("PRS-002",),
)
def any_text_gives_a_finite_number_or_nan(context: Context) -> None:
    """PRS-006."""
    _require_numbers(context)
    pieces = st.sampled_from([OPEN_TAG, CLOSE_TAG, "1", "-", ".", "e", "+", "9" * 400, "inf", "nan", "٣", "1_0", " "])

    @settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=20) | st.lists(pieces, max_size=6).map("".join))
    def parse(text: str) -> None:
        value = context.call(context.answerer.parse_answer, text)
        if not isinstance(value, float) or math.isinf(value):
            raise Failure(f"the parser returns {value!r}", "a finite float or nan", text)

    parse()


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
def only_a_whole_number_is_an_answer(context: Context) -> None:
    """PRS-007."""
    _require_numbers(context)
    numbers = {"6000.0": 6000.0, "-3.5": -3.5, "+.5": 0.5, " 7. ": 7.0, "1e+16": 1e16, "2.5E-3": 0.0025}
    for text, due in numbers.items():
        for whole in (text, f"{text}{CLOSE_TAG}", f"{OPEN_TAG}{text}{CLOSE_TAG} 8{CLOSE_TAG}"):
            value = context.call(context.answerer.parse_answer, whole)
            if value != due:
                raise Failure(f"the parser returns {value}", due, whole)
    for text in ("6 or 7", "1,000", "12 km", "0x10", "1_0", "٣", "6.0.0", "- 3", "1e", "nan7", "½"):
        value = context.call(context.answerer.parse_answer, f"{text}{CLOSE_TAG}")
        if not math.isnan(value):
            raise Failure(f"the parser returns {value}", "nan", text)


def _require_numbers(context: Context) -> None:
    if context.task.is_text:
        raise Unavailable("the answers are texts, and any text may be one")


def _due(context: Context, truth: object) -> str:
    return repr(truth) if context.task.is_text else f"{truth}, within 5 %"


def _texts(run: ScriptedOutcome, answers: Sequence[AnswerScript]) -> list[str]:
    """What reached the parser; where it is not called by its name, what the model wrote."""
    return [answer.text for answer in answers] if run.texts is None else run.texts
