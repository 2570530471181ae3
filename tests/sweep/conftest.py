"""One sweep of the toy, which the tests share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from sft_ref import Settings
from sft_ref.sweep import command
from sft_ref.sweep.cache import SweepCache
from sft_ref.sweep.cell import Cell
from sft_ref.sweep.run import Plan, sweep

PLAN = Plan("toy", train=("fp32", "fp16-mixed"), load=("fp16", "bf16-mixed"), settings=Settings(steps=40), questions=32)
ONE = dataclasses.replace(PLAN, train=("fp32",), load=())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep") / "cache"


@pytest.fixture(scope="session")
def cells(folder: Path) -> list[Cell]:
    """A sweep whose folder stays, so that others need not train again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SweepCache, "remove", lambda cache: None)
        return list(sweep(PLAN, folder))


@pytest.fixture
def again(cells: list[Cell], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cell]:
    """Measures fp32 → fp32 again, with the training that is there."""
    monkeypatch.setattr(SweepCache, "remove", lambda cache: None)

    def measure() -> Cell:
        (folder / "fp32" / "fp32.cell.json").unlink(missing_ok=True)
        return next(sweep(ONE, folder))

    return measure


@pytest.fixture
def swept(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command without its minutes: the cells are there already."""
    monkeypatch.setattr(command, "_sweep", lambda *_: cells)
    monkeypatch.delenv("CI", raising=False)
