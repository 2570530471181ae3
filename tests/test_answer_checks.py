"""The checks that read what came back of answers, from whichever recorder it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from sft_ref.harness.checks.in_process import answering
from sft_ref.harness.checks.in_process.generate import tokens_are_sampled_at_the_temperature
from sft_ref.harness.checks.shared import generate, parse
from sft_ref.harness.core.check import Check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.in_process.answer_parts import (
    GeneratedLogits,
    GeneratedRows,
    SampledTokens,
    ScriptedOutcome,
    WrittenAnswer,
)
from sft_ref.harness.evidence.in_process.task import conversions
from sft_ref.harness.evidence.views import AnswerCount, ParsedText, ReturnedAnswer
from sft_ref.harness.recorders.in_process.recordings.generated import known_answers, returned_answers

WHOLE = ReturnedAnswer("2 jubs?", "24.0", 9)
LOST = ReturnedAnswer("2 jubs?", "24.0", 9, "40404.0, which the model wrote for another question")
CUT = ReturnedAnswer("2 jubs?", "999999999999.999", 9, "cut off: '99999'", is_cut=True, share=0.5)
RARE = ReturnedAnswer("2 jubs?", "1000000000000000.0", 9, "cut off: '1000'", is_cut=True, share=0.001)


def fails(check: Check, part: str, value: object) -> str:
    """What is observed where the check fails; empty where it passes."""
    try:
        check(SimpleNamespace(**{part: value}))
    except Failure as failure:
        return failure.observed
    return ""


@pytest.mark.parametrize(("answer", "is_lost"), [(WHOLE, False), (LOST, True), (CUT, True), (RARE, False)])
def test_an_answer_that_comes_back_otherwise_fails_unless_hardly_any_is_as_long(
    answer: ReturnedAnswer, *, is_lost: bool
) -> None:
    assert fails(generate.answers_come_back, "returned_answers", [WHOLE, answer]) == answer.fault * is_lost


@pytest.mark.parametrize(("answer", "is_foreign"), [(WHOLE, False), (LOST, True), (CUT, False)])
def test_what_is_cut_off_is_the_models_all_the_same(answer: ReturnedAnswer, *, is_foreign: bool) -> None:
    assert fails(generate.answers_are_the_models, "known_answers", [WHOLE, answer]) == answer.fault * is_foreign


@pytest.mark.parametrize(
    ("share", "observed"),
    [(0.269, ""), (0.29, ""), (0.119, "a token with a probability of 26.9% has a share of 11.9%"), (0.378, "37.8%")],
    ids=["the temperature", "by chance", "not passed on", "applied twice"],
)
def test_a_share_that_chance_does_not_explain_is_another_temperature(share: float, observed: str) -> None:
    sampled = SampledTokens(2.0, 1 / (1 + math.e), share, 1536, 1.0)
    found = fails(tokens_are_sampled_at_the_temperature, "sampled_tokens", [sampled])
    assert observed in found
    assert bool(found) == bool(observed)


@pytest.mark.parametrize(
    ("temperature", "fault"), [(2.0, "96% of the samples at temperature 2.0 are copies"), (0.5, "")]
)
def test_samples_at_a_high_temperature_differ(temperature: float, fault: str) -> None:
    due = 1 / (1 + math.exp(2 / temperature))
    sampled = SampledTokens(temperature, due, due, 1536, 2 / 48)
    assert fails(tokens_are_sampled_at_the_temperature, "sampled_tokens", [sampled]).startswith(fault)


@pytest.mark.parametrize(("given", "observed"), [(8, ""), (7, "7 answers come back"), (9, "9 answers come back")])
def test_each_question_has_one_answer(given: int, observed: str) -> None:
    assert fails(generate.answering_completes, "answer_count", AnswerCount(8, given)) == observed


@pytest.mark.parametrize(
    ("dtype", "wrong", "observed"),
    [
        (torch.float32, [], ""),
        (
            torch.float32,
            [20],
            "at 1 of 21 new tokens, first at token 20, logits differ by up to 1.0e+00 of their spread",
        ),
        (torch.bfloat16, [20], ""),  # which rounding may turn
        (torch.bfloat16, range(16, 21), "at 5 of 21 new tokens, first at token 16, logits differ by up to 1.0e+00"),
    ],
)
def test_logits_of_new_tokens_agree_nearly_at_each_in_fp32_and_at_four_of_five_in_16_bits(
    dtype: torch.dtype, wrong: Sequence[int], observed: str
) -> None:
    expected = torch.linspace(-1, 1, 50).repeat(21, 1)
    seen = expected.clone()
    seen[[*wrong]] += 1
    row = GeneratedLogits("2 jubs?", range(21), seen, expected, 1.0)
    found = fails(answering.logits_are_those_of_one_forward, "generated_rows", GeneratedRows([row], dtype))
    assert found.startswith(observed)
    assert bool(found) == bool(observed)


@pytest.mark.parametrize(
    ("value", "observed"),
    [
        (math.nan, ""),
        (None, ""),
        (0.0, "the parser returns 0.0 for ' no idea'"),
        (6, "the parser returns 6 for ' no idea'"),
    ],
)
def test_where_there_is_no_answer_there_is_no_number(value: object, observed: str) -> None:
    texts = [ParsedText("", math.nan), ParsedText(" no idea", value, question="How many gram are there per 6 kg?")]
    assert fails(parse.no_constant_stands_for_nan, "answerless_texts", texts) == observed


LINES = (WrittenAnswer("2 jubs?", "24.0</answer>", "24.0"), WrittenAnswer("3 tove?", "0.125</answer>", "0.125"))
PROMPTS = ("2 jubs? <answer>", "3 tove? <answer>")


def run(
    texts: tuple[str, ...] | None, answers: tuple[float, ...], prompts: tuple[str, ...] = PROMPTS
) -> ScriptedOutcome:
    return ScriptedOutcome(LINES, prompts, answers, texts, {}, torch.float32)


def read(text: str) -> float:
    return float(text.partition("<")[0])


@pytest.mark.parametrize(
    ("outcome", "faults"),
    [
        (run(("24.0</answer>", "0.125</answer>"), (math.nan, math.nan)), ["", ""]),
        (
            run(("0.125</answer>", "24.0</answer>"), (0.125, 24.0)),
            ["text 0 is '0.125</answer>'", "text 1 is '24.0</answer>'"],
        ),
        (run(("24.0</answer>0.125", "0.12"), (24.0, 0.12)), ["text 0 is '24.0</answer>0.125'", "text 1 is '0.12'"]),
        (run(None, (24.0, math.nan)), ["", "answer 1 is nan"]),
        (
            run(None, (24.0, 0.125), ("2 jubs? <answer>", "2 jubs? <answer>24.0</answer> 3 tove? <answer>")),
            ["2 questions of the batch in the prompt '2 jubs? <answer>24.0</answer> 3 tove? <answer>'"],
        ),
    ],
    ids=["whole", "swapped", "two in one, and cut", "past the parser", "history"],
)
def test_answers_are_followed_up_to_the_parser_or_beyond(outcome: ScriptedOutcome, faults: list[str]) -> None:
    assert [each.fault for each in returned_answers([], [], outcome, conversions(), read)] == faults


def test_without_texts_nothing_is_said_of_where_answers_come_from() -> None:
    with pytest.raises(Unavailable, match="PRS-004 compares the answers"):
        known_answers(run(None, (24.0, 0.125)), conversions(), read)
