"""Reads the points of a grading from a TOML file; `rubric.toml` is the default, and documents the format."""

from __future__ import annotations

import math
import reprlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_ref.errors import SftRefError
from sft_ref.harness.core.sizes import read_limits
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.core.verdict import Status
from sft_ref.io.reading import Refusal, read_bytes

DEFAULT = Path(__file__).with_name("rubric.toml")

_MOST_POINTS = 1_000_000

VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")


@dataclass(frozen=True)
class Rubric:
    """The points of a grading.

    Attributes:
        verdict: status -> points for this status.
        stages: stage -> points if the stage is not at fault.
        checks: id of a check -> points if the check passes.
        visibility: when students see the results, in Gradescope's terms.
        limits: size limits, in the format of `--limit`.
    """

    verdict: Mapping[str, float]
    stages: Mapping[str, float]
    checks: Mapping[str, float]
    visibility: str
    limits: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The maximum number of points of a submission."""
        return max(self.verdict.values(), default=0) + sum(self.stages.values()) + sum(self.checks.values())


def read_rubric(path: Path = DEFAULT, check_ids: Callable[[], Mapping[str, str]] = dict) -> Rubric:
    """Reads a rubric from a file.

    Args:
        path: path of the file.
        check_ids: function that maps every id or alias that a rubric may use to the id of its check; called only if the
            rubric has points for checks.

    Raises:
        SftRefError: the file cannot be read, or names something that no grading reports.
    """
    refusal = Refusal(SftRefError, "`sft-ref grade --help` names an example")
    try:
        table = tomllib.loads(read_bytes(path, refusal).decode())
    except (ValueError, RecursionError) as error:
        raise refusal.of(path, f"it is not valid TOML: {error}") from error
    known = {"total", "visibility", "verdict", "stages", "checks", "limits"}
    if unknown := table.keys() - known:
        raise SftRefError(f"{path}: {min(unknown)} is not a part of a rubric; give {', '.join(sorted(known))}")
    rubric = Rubric(
        verdict=_points(path, table, "verdict", {str(each): str(each) for each in Status}),
        stages=_points(path, table, "stages", {stage: stage for stage in STAGES.values()}),
        checks=_points(path, table, "checks", check_ids() if table.get("checks") else {}),
        visibility=table.get("visibility", VISIBILITIES[0]),
        limits=_limits(path, table.get("limits", {})),
    )
    if rubric.visibility not in VISIBILITIES:
        raise SftRefError(
            f"{path}: visibility is {reprlib.repr(rubric.visibility)}; give one of {', '.join(VISIBILITIES)}"
        )
    total = _number(path, "total", table.get("total"))
    if not math.isclose(total, rubric.total, abs_tol=1e-9) or not total:
        raise SftRefError(
            f"{path}: total is {total:g}, but the parts add up to {rubric.total:g}; make them equal, and above 0"
        )
    return rubric


def _limits(path: Path, table: object) -> tuple[str, ...]:
    """Returns the size limits in the format of `--limit`."""
    if not isinstance(table, dict):
        raise SftRefError(f'{path}: limits is {reprlib.repr(table)}; give a table such as adapter = "20MB"')
    words = tuple(f"{name}={size}" for name, size in table.items())
    try:
        read_limits(words)
    except SftRefError as error:
        raise SftRefError(f"{path}: [limits] cannot be read ({error})") from error
    return words


def _points(path: Path, table: Mapping[str, Any], part: str, known: Mapping[str, str]) -> dict[str, float]:
    """Reads the points of one part; `known` maps names in the file to names in the rubric, whose points add up."""
    given = table.get(part, {})
    if not isinstance(given, dict):
        raise SftRefError(f"{path}: {part} is {reprlib.repr(given)}; give a table with a number of points for each")
    if unknown := given.keys() - known.keys():
        few = f"; give {', '.join(sorted(known))}" if part != "checks" else "; `sft-ref checks` lists them"
        raise SftRefError(f"{path}: {part} cannot contain {min(unknown)!r}{few}")
    points: dict[str, float] = {}
    for name, value in given.items():
        points[known[name]] = points.get(known[name], 0.0) + _number(path, f"{part}.{name}", value)
    return points


def _number(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_POINTS:  # nor NaN
        raise SftRefError(f"{path}: {name} is {reprlib.repr(value)}; give a number of points, from 0 to {_MOST_POINTS}")
    return float(value)
