"""An interrupted sweep goes on, and nothing but a sweep is touched."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from sft_ref import Settings
from sft_ref.errors import OutputError, PrecisionError
from sft_ref.reference import sft
from sft_ref.sweep.cell import Cell
from sft_ref.sweep.run import sweep

from .conftest import PLAN


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_ends_as_an_uninterrupted_one(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(PLAN, train=("fp32",), settings=Settings(steps=3, batch_size=4), questions=4)
    trained = 0
    train = sft.train

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal trained
        trained += 1
        return train(*args, **kwargs)

    monkeypatch.setattr("sft_ref.reference.sft.train", count)
    first = list(itertools.islice(sweep(plan, tmp_path / "s"), 2))
    with pytest.raises(OutputError, match="an unfinished sweep with another settings"):
        next(sweep(dataclasses.replace(plan, settings=Settings(steps=4)), tmp_path / "s"))
    whole = list(sweep(plan, tmp_path / "s"))
    assert trained == 1
    assert whole[:2] == first
    assert len(whole) == 3
    assert not (tmp_path / "s").exists()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not the folder of a sweep"):
        next(sweep(PLAN, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_policy_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PrecisionError, match="unknown policy 'fp8'"):
        next(sweep(dataclasses.replace(PLAN, load=("fp8",)), tmp_path / "s"))
    assert not list(tmp_path.iterdir())
