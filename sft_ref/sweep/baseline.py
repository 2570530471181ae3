"""Reads and writes baselines, the figures of a sweep by device and policy, and compares a new sweep with one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.errors import SftRefError
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Refusal, UnreadableError, converted, read_json
from sft_ref.reference.fingerprints import library_versions
from sft_ref.reference.guards.output_folder import disk_errors
from sft_ref.reference.precision import find_policy

from .cell import Cell, CellVerdict
from .measure import SHORT
from .run import Plan, device_name
from .tolerances import FIRST_LOSSES, TOLERANCES, tolerances_for

SPEED_REFERENCE = "fp32"


class BaselineError(SftRefError):
    """A baseline is missing, cannot be read, has other settings, or cannot be written."""


@dataclass(frozen=True)
class BaselineDifference:
    """One figure that differs from its baseline by more than its tolerance.

    Attributes:
        pair: train and load policy.
        quantity, golden, found: the figure's name, baseline and new value.
        allowed, why: the figure's tolerance, and the reason for it.
    """

    pair: tuple[str, str]
    quantity: str
    golden: Any
    found: Any
    allowed: str
    why: str


class _BaselineCell(msgspec.Struct):
    """The keys of a cell whose types are validated; other figures are compared as they are."""

    train: str
    load: str
    verdict: CellVerdict
    answers: list[float | None]
    first_losses: list[float | None] = msgspec.field(name="first losses")


class _Baseline(msgspec.Struct):
    """A baseline file."""

    cells: list[dict[str, Any]]
    versions: dict[str, str]


def path_of(plan: Plan, folder: Path) -> Path:
    """Returns the path of the baseline file of this device and base."""
    return folder / f"{device_name()}-{Path(plan.base).name}.json"


def figures(cells: Sequence[Cell]) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the figures that a baseline contains of each cell, by train and load policy."""
    pace = {cell.train: cell.tokens_per_second for cell in cells if cell.load == SPEED_REFERENCE}
    found = {}
    for cell in cells:
        row = cell.to_json()
        reference = pace.get(cell.train)
        kept = {tolerance.quantity: row[tolerance.quantity] for tolerance in TOLERANCES if tolerance.quantity in row}
        kept |= {f"logits {name}": value for name, value in row["logits"].items()}
        kept["speed"] = cell.tokens_per_second / reference if cell.tokens_per_second and reference else None
        kept["first losses"] = row["training"]["first_losses"]
        kept["answers"] = row["answers"]
        kept["why"] = cell.why
        found[cell.train, cell.load] = kept
    return found


def write(plan: Plan, cells: Sequence[Cell], path: Path) -> None:
    """Writes a baseline."""
    text = json.dumps(
        {
            "device": device_name(),
            **_settings(plan),
            "versions": library_versions(),
            "cells": [
                {"train": train, "load": load, **kept} for (train, load), kept in figures(cells).items()
            ],
        },
        indent=1,
        allow_nan=False,
    )  # fmt: skip
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f"{text}\n")


def read(plan: Plan, path: Path) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, str]]:
    """Reads the figures of a baseline, as `figures` returns them, and its library versions.

    Raises:
        BaselineError: the baseline cannot be read, or was made with other settings.
    """
    refusal = Refusal(BaselineError, "make it again with --update")
    found = read_json(path, dict[str, Any], refusal)
    try:
        baseline = converted(found, _Baseline)
        rows = [converted(each, _BaselineCell) for each in baseline.cells]
    except UnreadableError as error:
        raise refusal.of(path, error) from error
    if changed := [key for key, value in _settings(plan).items() if found.get(key) != value]:
        raise BaselineError(f"baseline {path} was made with another {', '.join(changed)}; repeat those settings")
    pairs = [(row.train, row.load) for row in rows]
    return dict(zip(pairs, baseline.cells, strict=True)), baseline.versions


def compare(
    golden: dict[tuple[str, str], dict[str, Any]], found: dict[tuple[str, str], dict[str, Any]]
) -> Iterator[BaselineDifference]:
    """Yields figures that differ by more than their tolerance. Omits pairs without a baseline: see `missing`."""
    for pair in (pair for pair in found if pair in golden):
        was, now = golden[pair], found[pair]
        unmeasured = [each["verdict"] == CellVerdict.NOT_RUN for each in (was, now)]
        if all(unmeasured):
            continue
        tolerances = TOLERANCES[:1] if any(unmeasured) else tolerances_for(device_name())
        for tolerance in tolerances:
            golden_value, value = was.get(tolerance.quantity), now.get(tolerance.quantity)
            if tolerance.quantity == "speed" and golden_value is None and value is None:
                continue  # the sweep did not include the policy that speed is relative to
            if tolerance.moved(golden_value, value) and not _lost_with_it(tolerance.quantity, was, now):
                yield BaselineDifference(
                    pair, tolerance.quantity, golden_value, value, tolerance.limit(), tolerance.why
                )
        if not any(unmeasured):
            yield from _first_losses(pair, was, now)


def _lost_with_it(quantity: str, was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Returns whether a broken cell lacks this figure now and in the baseline; its verdict and stage are compared."""
    return was.get(quantity) is None and now.get(quantity) is None and was["verdict"] == CellVerdict.BROKEN


def _first_losses(pair: tuple[str, str], was: dict[str, Any], now: dict[str, Any]) -> Iterator[BaselineDifference]:
    tolerance = FIRST_LOSSES[SHORT[find_policy(pair[0]).computes]]
    losses = was["first losses"], now["first losses"]
    if len(losses[0]) != len(losses[1]):
        yield BaselineDifference(pair, "first losses", *losses, allowed=tolerance.limit(), why=tolerance.why)
        return
    for step, (golden, value) in enumerate(zip(*losses, strict=True), start=1):
        if tolerance.moved(golden, value):
            yield BaselineDifference(pair, f"loss of step {step}", golden, value, tolerance.limit(), tolerance.why)
            return


def missing(golden: dict[tuple[str, str], Any], found: dict[tuple[str, str], Any]) -> list[tuple[str, str]]:
    """Returns the pairs of the sweep that have no baseline."""
    return [pair for pair in found if pair not in golden]


def changed_answers(was: dict[str, Any], now: dict[str, Any]) -> int | None:
    """Returns how many answers differ from the baseline; None if they cannot be compared."""
    if len(was["answers"]) != len(now["answers"]) or not now["answers"]:
        return None
    return sum(bool(one != other) for one, other in zip(was["answers"], now["answers"], strict=True))


def check_stable(one: Sequence[Cell], other: Sequence[Cell]) -> None:
    """Refuses a baseline that the same machine does not reproduce.

    Raises:
        BaselineError: two sweeps differ in a figure other than speed and memory.
    """
    for first, second in zip(one, other, strict=True):
        rows = [_repeatable(cell) for cell in (first, second)]
        if odd := [key for key in rows[0] if rows[0][key] != rows[1][key]]:
            raise BaselineError(
                f"two sweeps disagree on {odd[0]} of {first.train} → {first.load} ({rows[0][odd[0]]}, then"
                f" {rows[1][odd[0]]}); make it deterministic before making a baseline"
            )


def _repeatable(cell: Cell) -> dict[str, Any]:
    row = cell.to_json()
    row["first_losses"] = row.pop("training")["first_losses"]
    return {key: value for key, value in row.items() if key not in {"tokens_per_second", "peak_memory_mib"}}


def check_clean(path: Path) -> None:
    """Refuses to write a baseline for code that is not committed.

    Raises:
        BaselineError: the folder is not in a git repository, or files other than baselines are changed.
    """
    where = next(folder for folder in path.absolute().parents if folder.is_dir())
    git = ["git", "-C", str(where)]
    try:
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True)  # noqa: S603  # fixed words
        command = ["git", "-C", top.stdout.strip(), "status", "--porcelain", "--untracked-files=all"]
        status = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise BaselineError(
            f"{where} is not in a git repository, which must record the code behind {path.name}"
        ) from error
    folder = path.absolute().parent.relative_to(Path(top.stdout.strip()).resolve())
    odd = [line for line in status.stdout.splitlines() if not line[3:].startswith(f"{folder}/")]
    if odd:
        raise BaselineError(f"{odd[0][3:]} is not committed ({len(odd)} in all); commit, then update the baseline")


def _settings(plan: Plan) -> dict[str, Any]:
    return {"base": plan.base, "settings": asdict(plan.settings), "questions": plan.questions}
