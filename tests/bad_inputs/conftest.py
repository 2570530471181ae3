"""The sound files that cases are made of."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import sft_ref
from sft_ref.reference import training
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.guards.progress import Step
from sft_ref.sweep.run import Plan, sweep

SETTINGS = sft_ref.Settings(steps=3, batch_size=2)


@pytest.fixture(autouse=True)
def _one_process(in_this_process: None) -> None:
    """No case starts a process."""


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> folder, of what a case may ask for: an adapter, a base, an unfinished training, an unfinished sweep."""
    top = tmp_path_factory.mktemp("sound")
    sft_ref.train(top / "adapter", base="toy", settings=SETTINGS)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(training, "CHECKPOINT_EVERY", 1)
        sft_ref.train(top / "run", base="toy", settings=SETTINGS, report=_stop_at_2)
    plan = Plan(base="toy", train=("fp32",), load=("fp32",), settings=sft_ref.Settings(steps=1), questions=1)
    with contextlib.closing(sweep(plan, top / "sweep.partial")) as cells:  # type: ignore[type-var]
        next(cells)
    return {name: top / name for name in ("adapter", "run.partial", "sweep.partial")} | {"base": TOY}


def _stop_at_2(step: Step) -> None:
    if step.step == 2:
        raise KeyboardInterrupt
