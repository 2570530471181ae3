"""Every pair has its cell, with all its figures."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import msgspec
import pytest
import torch

from sft_ref.io.strict_json import to_text
from sft_ref.sweep.cell import Cell, CellVerdict


def test_every_pair_has_its_cell_and_what_cannot_train_here_says_why(cells: list[Cell]) -> None:
    pairs = [(cell.train, cell.load) for cell in cells]
    loads = {"fp32": ["fp32", "fp16", "bf16-mixed"], "fp16-mixed": ["fp16-mixed", "fp16", "bf16-mixed"]}
    assert pairs == [(train, each) for train, names in loads.items() for each in names]
    if not torch.cuda.is_available():
        for cell in cells[3:]:
            assert cell.verdict is CellVerdict.NOT_RUN
            assert "fp16 training needs CUDA" in cell.why


def test_what_was_trained_is_the_same_and_other_precisions_drift(cells: list[Cell]) -> None:
    same, fp16, mixed = cells[:3]
    assert (same.verdict, same.parity, same.same_dtypes, same.computed) == (CellVerdict.SAME, 0.0, True, ())
    for cell in (fp16, mixed):
        assert cell.verdict is CellVerdict.DRIFT
        assert cell.parity is not None
        assert cell.parity > 0
        assert re.match(r"logits by up to [\d.]+, \d+ of 32 answers, ", cell.why)
    assert (fp16.same_dtypes, mixed.same_dtypes) == (False, True)
    assert "torch Linear: float32 in training, bfloat16 when answering" in mixed.computed
    assert (same.dtypes, fp16.dtypes, mixed.dtypes) == ("fp32/fp32/fp32", "fp16/fp16/fp16", "fp32/fp32/bf16")
    assert fp16.weights_mib == pytest.approx((same.weights_mib or 0) / 2, rel=0.01)


def test_all_figures_are_there(cells: list[Cell]) -> None:
    for cell in cells[:3]:
        for field in dataclasses.fields(Cell):
            value = getattr(cell, field.name)
            if field.name != "peak_memory_mib" and not (field.name == "changed_answers" and cell.load == cell.train):
                assert value is not None, field.name
        assert cell.finite
        assert cell.headroom_module == "model.layers.2"
        assert len(cell.answers) == 32
        assert len(cell.training.first_losses) == 5


def test_json_holds_the_cells_and_no_number_that_is_not_finite(cells: list[Cell]) -> None:
    odd = dataclasses.replace(cells[0], parity=math.nan, answers=(1.0, None), logits={"mean": math.inf})
    found = json.loads(to_text([cell.to_json() for cell in (*cells, odd)]), parse_constant=pytest.fail)
    wanted = {"train", "load", "finite", "same_dtypes", "parity", "top1", "answer_rate", "accuracy", "verdict"}
    assert all(wanted <= cell.keys() for cell in found)
    assert found[-1]["parity"] is None
    assert [msgspec.convert(each, Cell) for each in found[:-1]] == cells
