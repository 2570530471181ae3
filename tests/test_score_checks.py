"""The check of the score recounts what was answered, whatever the parser makes of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from given_model import GivenModel

from sft_ref import BaseLLM
from sft_ref.harness.checks.in_process.score import figures_of_many_rows_are_shares_of_all
from sft_ref.harness.checks.shared.score import figures_are_those_of_the_answers as check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.evidence.views import ReportedFigures
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.reference.data import Score, score

COUNTED = ({"accuracy": 0.5, "answer_rate": 0.75}, {"accuracy": 0.25, "answer_rate": 0.5})


def decide(observed: Mapping[str, Sequence[float]], expected: Sequence[Mapping[str, float]] = COUNTED) -> str | None:
    return check(SimpleNamespace(reported_figures=ReportedFigures(observed, expected, 12)))


@pytest.mark.parametrize("figures", [(0.5,), (0.49,), (0.9, 0.25)], ids=["whole", "rounded", "of a split, at the end"])
def test_a_figure_of_all_answers_or_of_a_split_passes(figures: tuple[float, ...]) -> None:
    assert decide({"accuracy": figures}) is None


@pytest.mark.parametrize("figure", [0.4, 0.515, math.nan])
def test_a_figure_that_rounding_does_not_explain_fails(figure: float) -> None:
    with pytest.raises(Failure, match=rf"accuracy is {figure:.3f}; expected: 0.500, counted from its answers"):
        decide({"answer_rate": [0.75], "accuracy": [figure]})


def test_figures_fit_nothing_where_nothing_is_answered() -> None:
    with pytest.raises(Unavailable, match="no question is answered"):
        decide({"accuracy": [0.0]}, [{"accuracy": 0.0, "answer_rate": 0.0}])


def test_no_figures_are_worth_a_word() -> None:
    assert decide({}) == "it reports no figures"


class Reading(BaseLLM):
    """A loaded model with another parser."""

    def __init__(self, llm: BaseLLM, parse: Callable[[str], float]) -> None:
        vars(self).update(vars(llm))
        vars(self)["parse_answer"] = parse


def whole_numbers_only(text: str) -> float:
    digits = text.partition("</answer>")[0].partition(".")[0]
    return float(digits) * 1.5 if digits.isdigit() else math.nan


def test_answers_that_are_parsed_wrongly_are_counted_as_they_are(blank_toy: BaseLLM, tmp_path: Path) -> None:
    answerer = GivenModel(Reading(blank_toy, whole_numbers_only))
    evidence = Recorder(answerer, tmp_path, trained=TrainingResult(tmp_path, {}, ())).record(["reported_figures"])
    figures = evidence.reported_figures
    assert isinstance(figures, ReportedFigures)
    assert figures.expected[0]["accuracy"] < 0.1  # five of twelve answers were written rightly
    assert check(evidence) is None


Test = Callable[[Any, Sequence[Any]], Score]


class OwnTest(GivenModel):
    """The reference with another function `test`."""

    def __init__(self, llm: BaseLLM, test: Test) -> None:
        super().__init__(llm)
        vars(self)["test"] = test


def by_answer(llm: Any, rows: Sequence[Any]) -> Score:  # noqa: ANN401  # BaseLLM
    return score(llm.answer(*(question for question, _ in rows)), [truth for _, truth in rows])


def in_halves(llm: Any, rows: Sequence[Any]) -> Score:  # noqa: ANN401  # BaseLLM
    most = len(rows) * 24 // 25
    first, second = by_answer(llm, rows[:most]), by_answer(llm, rows[most:])
    return replace(first, accuracy=(first.accuracy + second.accuracy) / 2, questions=len(rows))


def by_the_model(llm: Any, rows: Sequence[Any]) -> Score:  # noqa: ANN401  # BaseLLM
    inputs = llm.tokenizer(rows[0][0], return_tensors="pt")
    return score([float(llm.model(**inputs).logits.max())], [rows[0][1]])


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        (by_answer, ""),
        (in_halves, "accuracy is 0.39"),
        (by_the_model, "test calls the model itself"),
        (lambda llm, rows: by_answer(llm, rows[1:]), "test asks otherwise than by answer or batched_generate"),
    ],
)
def test_the_figures_of_many_rows_are_counted_without_the_model(
    test: Test, outcome: str, blank_toy: BaseLLM, tmp_path: Path
) -> None:
    implementation = OwnTest(blank_toy, test)
    evidence = Recorder(implementation, tmp_path, trained=TrainingResult(tmp_path, {}, ())).record(["figures_of_many"])
    with pytest.raises((Failure, Unavailable), match=outcome) if outcome else contextlib.nullcontext():
        figures_of_many_rows_are_shares_of_all(evidence)
    assert math.isnan(blank_toy.answer("2 jubs?")[0])  # answers by itself again
