"""The check of the score recounts what was answered, whatever the parser makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from given_model import GivenModel

from sft_ref import BaseLLM
from sft_ref.harness.checks.shared.score import figures_are_those_of_the_answers as check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.evidence.views import ReportedFigures
from sft_ref.harness.recorders.in_process.recorder import Recorder

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
