"""Runs a sweep: trains once per train policy, loads under every load policy, and returns a cell for each pair."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.cluster.installed import source_digest
from sft_ref.errors import DataError, PrecisionError, TrainingError
from sft_ref.reference import sft
from sft_ref.reference.bases.find import DEFAULT_BASE, find_base, fingerprint_base
from sft_ref.reference.data import SPLIT_SIZE, Row, split_rows
from sft_ref.reference.fingerprints import library_versions
from sft_ref.reference.precision import POLICIES, Policy, check_can_compute, check_can_train, find_device, find_policy
from sft_ref.reference.settings import Settings

from . import memory
from .cache import SweepCache
from .cell import Cell, CellVerdict, TrainingFigures
from .determinism import deterministic
from .measure import measure, read_forced, teacher_force, write_forced

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM
    from sft_ref.reference.guards.progress import Step

FIRST_STEPS = 5
"""Optimizer steps whose losses are stored: later losses accumulate the rounding of all steps before."""


@dataclass(frozen=True)
class Plan:
    """The parameters of a sweep.

    Attributes:
        base: base model, as `sft_ref.reference.bases.find.find_base` takes it.
        train, load: names of the policies to train and to load under.
        settings: settings of every training.
        questions: number of questions of the validation split, for losses and answers.

    Raises:
        DataError: the validation split does not have that many questions.
    """

    base: str = DEFAULT_BASE
    train: tuple[str, ...] = tuple(POLICIES)
    load: tuple[str, ...] = tuple(POLICIES)
    settings: Settings = field(default_factory=lambda: Settings(steps=80))
    questions: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.questions <= SPLIT_SIZE:
            raise DataError(f"questions is {self.questions}; give a number from 1 to {SPLIT_SIZE}")

    def pairs(self) -> list[tuple[Policy, list[Policy]]]:
        """Returns each train policy with its load policies, itself first, because the others are compared with it.

        Raises:
            PrecisionError: a name is not that of a policy.
        """
        loads = [find_policy(name) for name in dict.fromkeys(self.load)]
        trains = [find_policy(name) for name in dict.fromkeys(self.train)]
        return [(train, [train, *(load for load in loads if load.name != train.name)]) for train in trains]


def device_name() -> str:
    """Returns ``cpu`` or the accelerator's name, usable in a file name: figures are valid for that kind of device."""
    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return "-".join(name.split()).replace("/", "-")


def conditions(plan: Plan) -> dict[str, Any]:
    """Returns everything that determines the figures of a sweep on one machine."""
    return {
        "base": plan.base,
        "base_fingerprint": fingerprint_base(find_base(plan.base)),
        "settings": asdict(plan.settings),
        "questions": plan.questions,
        **surroundings(),
    }


def surroundings() -> dict[str, Any]:
    """Returns machine, libraries and code, which must be the same when an interrupted sweep continues."""
    return {
        "device": device_name(),
        "machine": platform.node(),
        "threads": torch.get_num_threads(),
        "versions": library_versions(),
        "source": source_digest(),
    }


def sweep(
    plan: Plan, folder: Path, *, training: Callable[[str], Callable[[Step], None]] = lambda name: lambda step: None
) -> Iterator[Cell]:
    """Yields cells as they finish; takes those of an interrupted sweep from its folder.

    Args:
        plan: parameters of the sweep.
        folder: folder that stores finished trainings and cells until the sweep ends.
        training: called with the name of a train policy; returns a callback for its optimizer steps.

    Raises:
        SftRefError: the plan or the folder is bad.
        KeyboardInterrupt: Ctrl-C was pressed; finished cells are stored.
    """
    pairs = plan.pairs()
    rows = split_rows("validation")[: plan.questions]
    cache = SweepCache(folder, conditions(plan))
    with deterministic(find_device()):
        for train, loads in pairs:
            yield from _row(plan, cache, train, loads, rows=rows, report=training)
    cache.remove()


def _row(
    plan: Plan,
    cache: SweepCache,
    train: Policy,
    loads: Sequence[Policy],
    *,
    rows: Sequence[Row],
    report: Callable[[str], Callable[[Step], None]],
) -> Iterator[Cell]:
    device = find_device()
    try:
        check_can_train(train, device)
        figures = cache.read_training(train.name) or _train(plan, cache, train, rows, report(train.name))
    except PrecisionError as error:
        yield from (Cell(train.name, load.name, CellVerdict.NOT_RUN, why=str(error)) for load in loads)
        return
    except TrainingError as error:
        why = f"train: {error}"
        yield from (Cell(train.name, load.name, CellVerdict.BROKEN, stage="train", why=why) for load in loads)
        return
    trained = read_forced(cache.trained_path(train.name))
    same_policy: Cell | None = None
    for load in loads:
        cell = cache.read_cell(train.name, load.name)
        if cell is None:
            try:
                check_can_compute(load, device)
                cell = measure(
                    cache.adapter_path(train.name), train, load, rows, trained=trained, same_policy=same_policy
                )
            except PrecisionError as error:
                cell = Cell(train.name, load.name, CellVerdict.NOT_RUN, why=str(error))
            cell = replace(cell, training=figures)
            cache.write_cell(cell)
        if load.name == train.name:
            same_policy = cell
        yield cell


def _train(
    plan: Plan, cache: SweepCache, policy: Policy, rows: Sequence[Row], report: Callable[[Step], None]
) -> TrainingFigures:
    cache.trained_path(policy.name).parent.mkdir(parents=True, exist_ok=True)

    def look(llm: BaseLLM) -> None:
        write_forced(teacher_force(llm, rows), cache.trained_path(policy.name))

    peak = memory.PeakMemory(find_device())
    history = sft.train(
        cache.adapter_path(policy.name),
        base=plan.base,
        policy=policy.name,
        settings=plan.settings,
        overwrite=True,
        report=report,
        at_end=look,
    )
    paces = [step.tokens_per_second for step in history if math.isfinite(step.tokens_per_second)]
    figures = TrainingFigures(
        tuple(step.loss for step in history[:FIRST_STEPS]), paces[-1] if paces else None, peak.mib()
    )
    cache.write_training(policy.name, figures)
    return figures
