"""The check of the parser says what it requires and no longer gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from sft_ref.harness.checks.shared.parse import training_targets_are_parsed
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import ScriptedOutcome
from sft_ref.harness.evidence.in_process.task import NumberTask
from sft_ref.harness.recorders.in_process.calls import call
from sft_ref.harness.recorders.in_process.recordings.scored import parsed_texts
from sft_ref.reference.data import is_answer_valid
from sft_ref.reference.prompt import parse_answer

TEXT = "6000.0</answer>"
CONSUMED = ": it requires '<answer>', which the prompt has already consumed"


def cause_of(parse: Callable[[str], float]) -> str:
    outcome = ScriptedOutcome((), ("How many gram? <answer>",), (parse(TEXT),), (TEXT,), {}, torch.float32)
    task = NumberTask([], [], [("How many gram?", 6000.0)], is_answer_valid, is_own=False)
    texts = parsed_texts(outcome, task, lambda text: call(parse, text))
    with pytest.raises(Failure) as raised:
        training_targets_are_parsed(SimpleNamespace(parsed_texts=texts))
    return raised.value.observed


def after_the_tag(text: str) -> float:
    return parse_answer(text) if text.startswith("<answer>") else math.nan


def never(text: str) -> float:
    return math.nan


def raises_at_the_tag(text: str) -> float:
    if text.startswith("<"):
        raise ValueError(text)
    return math.nan


def test_a_parser_that_requires_what_the_prompt_consumed_is_named() -> None:
    assert cause_of(after_the_tag) == f"the parser returns nan for {TEXT!r}{CONSUMED}"


@pytest.mark.parametrize("parse", [never, raises_at_the_tag])
def test_another_parser_is_not_said_to_require_it(parse: Callable[[str], float]) -> None:
    assert cause_of(parse) == f"the parser returns nan for {TEXT!r}"


def test_a_sound_parser_passes() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        cause_of(parse_answer)
