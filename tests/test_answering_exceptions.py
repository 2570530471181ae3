"""An exception while answering is held against the stage that raises it, whichever check sees it first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn, cast

import pytest
from given_model import GivenModel

from sft_ref import BaseLLM
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.implementation import Answerer, TrainingResult
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.recorders.in_process.recorder import Recorder


class Raising(BaseLLM):
    """A loaded model, one of whose functions raises."""

    def __init__(self, llm: BaseLLM, broken: str) -> None:
        vars(self).update(vars(llm))
        vars(self)[broken] = self._raise

    def _raise(self, *_args: object) -> NoReturn:
        raise ValueError("no such argument")


def _recorder(llm: BaseLLM, folder: Path) -> Recorder:
    return Recorder(GivenModel(llm), folder, trained=TrainingResult(folder / "nowhere", {}, ()))


def _outcomes(ids: Iterable[str], recorder: Recorder) -> dict[str, Outcome]:
    return {result.check.id: result.outcome for result in run_in_stages([c for c in CHECKS if c.id in ids], recorder)}


def test_an_exception_of_generation_fails_no_earlier_stage(blank_toy: BaseLLM, tmp_path: Path) -> None:
    found = _outcomes(
        ("PRM-002", "TOK-001", "LOD-001", "GEN-016"), _recorder(Raising(blank_toy, "batched_generate"), tmp_path)
    )
    assert found == {
        "PRM-002": Outcome.BLOCKED,
        "TOK-001": Outcome.BLOCKED,
        "LOD-001": Outcome.BLOCKED,
        "GEN-016": Outcome.FAIL,
    }


def test_an_exception_of_the_prompt_fails_the_stage_prompt(blank_toy: BaseLLM, tmp_path: Path) -> None:
    found = _outcomes(("PRM-002",), _recorder(Raising(blank_toy, "format_prompt"), tmp_path))
    assert found == {"PRM-002": Outcome.FAIL}


def test_an_exception_of_the_parser_is_not_generations(blank_toy: BaseLLM, tmp_path: Path) -> None:
    found = _outcomes(("GEN-016",), _recorder(Raising(blank_toy, "parse_answer"), tmp_path))
    assert found == {"GEN-016": Outcome.PASS}


def test_a_model_that_cannot_be_copied_is_not_compared(blank_toy: BaseLLM, tmp_path: Path) -> None:
    llm = Raising(blank_toy, "generate")
    llm.model = (token for token in (1, 2))
    recorder = _recorder(llm, tmp_path)
    assert recorder.part("answerer") is cast("Answerer", llm)
    with pytest.raises(Unavailable, match="cannot be copied"):
        recorder.part("loaded_model")
