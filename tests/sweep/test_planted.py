"""What is planted is seen: as a difference from the baseline, or as a broken cell with its stage."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sft_ref import BaseLLM, parse_answer
from sft_ref.errors import TrainingError
from sft_ref.io.lora_config import WEIGHTS
from sft_ref.reference import models, sft
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.record import read_record
from sft_ref.sweep import baseline, baseline_report
from sft_ref.sweep.cell import Cell, CellVerdict
from sft_ref.sweep.run import sweep

from .conftest import PLAN

pytestmark = pytest.mark.slow

load = sft.load


def rounded(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    for name, tensor in llm.model.named_parameters():
        if "lora_" in name:
            tensor.data = tensor.data.to(torch.bfloat16).float()
    return llm


def halved(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.half()
    return llm


def followed(*args: Any, **kwargs: Any) -> BaseLLM:
    """The library's default: "auto" since version 5, which for the toy is bf16; and nobody compares with the record."""
    with pytest.MonkeyPatch.context() as patch:
        keyword = dtype_keyword("auto")
        patch.setattr(models, "dtype_keyword", lambda dtype: keyword)
        patch.setattr(sft, "read_record", lambda *a: dataclasses.replace(read_record(*a), dtypes={}))  # type: ignore[type-var]
        return load(*args, **kwargs)


@pytest.mark.parametrize(
    ("planted", "moved"),
    [
        (rounded, {"verdict", "parity"}),
        (halved, {"verdict", "dtypes", "same_dtypes", "parity", "weights_mib", "computed"}),
        (followed, {"verdict", "dtypes", "same_dtypes", "parity", "weights_mib", "computed"}),
    ],
)
def test_a_planted_regression_shows_as_a_difference_from_the_baseline(
    planted: Callable[..., BaseLLM],
    moved: set[str],
    cells: list[Cell],
    again: Callable[[], Cell],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    golden = baseline.figures(cells)
    assert list(baseline.compare(golden, baseline.figures([again()]))) == []
    monkeypatch.setattr("sft_ref.reference.sft.load", planted)
    found = baseline.figures([again()])
    differences = list(baseline.compare(golden, found))
    assert {each.quantity for each in differences} >= moved
    baseline_report.show(differences, golden, found, Path("here"))
    text = capsys.readouterr().out
    assert "moved fp32 → fp32" in text
    assert re.search(r"verdict +same → drift", text)
    assert re.search(r"parity +0 → [\d.e-]+ \(\+", text)
    assert re.search(r"answers +(none|\d+ of 32) changed", text)


def test_a_new_default_dtype_of_the_library_is_refused_by_load_and_the_stage_is_named(
    cells: list[Cell], again: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyword = dtype_keyword("auto")
    monkeypatch.setattr(models, "dtype_keyword", lambda dtype: keyword)
    cell = again()
    assert (cell.verdict, cell.stage) == (CellVerdict.BROKEN, "load")
    assert "was trained in float32 and is loaded in bfloat16" in cell.why
    assert {each.quantity for each in baseline.compare(baseline.figures(cells), baseline.figures([cell]))} >= {
        "verdict",
        "parity",
    }


def strict(text: str) -> float:
    return parse_answer(text) if text.startswith("<answer>") else math.nan


def infinite(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.get_parameter("base_model.model.model.layers.1.mlp.down_proj.base_layer.weight").data.mul_(1e38).mul_(10)
    return llm


def overflowing(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.get_parameter("base_model.model.model.layers.1.mlp.down_proj.base_layer.weight").data.fill_(3e38)
    return llm


def blank(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    for name, tensor in llm.model.named_parameters():
        if "lora_B" in name:
            tensor.data.zero_()
    return llm


@pytest.mark.parametrize(
    ("place", "planted", "stage", "why"),
    [
        ("sft_ref.reference.sft.load", blank, "load", "the true answer's loss is higher by"),
        ("sft_ref.reference.sft.load", infinite, "load", r"layers.1.mlp.down_proj.weight is not finite"),
        (
            "sft_ref.reference.sft.load",
            overflowing,
            "generate",
            r"model.layers.1.mlp.down_proj outputs numbers that are not",
        ),
        (
            "sft_ref.reference.base_llm.prompt.parse_answer",
            strict,
            "parse",
            "of the generated answers are right, but only 0% as parsed",
        ),
        (
            "sft_ref.reference.base_llm.MAX_NEW_TOKENS",
            2,
            "generate",
            "teacher-forced, .* of the answers are right, but only .* as generated",
        ),
    ],
)
def test_a_broken_cell_names_its_stage(
    place: str, planted: object, stage: str, why: str, again: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, planted)
    cell = again()
    assert (cell.verdict, cell.stage) == (CellVerdict.BROKEN, stage)
    assert re.search(why, cell.why)


def test_a_damaged_artifact_is_a_broken_cell_and_the_others_go_on(
    cells: list[Cell], folder: Path, again: Callable[[], Cell]
) -> None:
    weights = folder / "fp32" / "adapter" / WEIGHTS
    before = weights.read_bytes()
    weights.write_bytes(before[:-8])
    cell = again()
    weights.write_bytes(before)
    assert (cell.verdict, cell.stage) == (CellVerdict.BROKEN, "artifact")


def test_a_training_that_fails_breaks_its_row_at_the_stage_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrainingError("20 optimizer steps in a row had no finite loss and gradient")

    monkeypatch.setattr("sft_ref.reference.sft.train", fail)
    found = list(sweep(dataclasses.replace(PLAN, train=("fp32",)), tmp_path / "s"))
    assert [(cell.verdict, cell.stage) for cell in found] == [(CellVerdict.BROKEN, "train")] * 3
