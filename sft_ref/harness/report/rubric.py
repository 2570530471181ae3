"""How many points what is worth, from a TOML file; `rubric.toml` is the default and explains itself."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_ref.errors import SftRefError
from sft_ref.harness.stages import CODE_STAGES
from sft_ref.harness.verdict import Standing

DEFAULT = Path(__file__).with_name("rubric.toml")

VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")


@dataclass(frozen=True)
class Rubric:
    """Points.

    Attributes:
        verdict: standing -> points for it.
        stages: stage -> points where it is not at fault.
        checks: id -> points where it passes.
        visibility: when students see the results, in Gradescope's words.
    """

    verdict: Mapping[str, float]
    stages: Mapping[str, float]
    checks: Mapping[str, float]
    visibility: str

    @property
    def total(self) -> float:
        """The most that can be had."""
        return max(self.verdict.values(), default=0) + sum(self.stages.values()) + sum(self.checks.values())


def read_rubric(path: Path = DEFAULT) -> Rubric:
    """A rubric from a file.

    Raises:
        SftRefError: the file cannot be read, or says what no grading can give.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SftRefError(
            f"{path}: cannot be read as TOML ({error}); `sft-ref grade --help` names an example"
        ) from error
    known = {"total", "visibility", "verdict", "stages", "checks"}
    if unknown := table.keys() - known:
        raise SftRefError(f"{path}: {min(unknown)} is no part of a rubric; give {', '.join(sorted(known))}")
    rubric = Rubric(
        verdict=_points(path, table, "verdict", {str(each) for each in Standing}),
        stages=_points(path, table, "stages", set(CODE_STAGES)),
        checks=_points(path, table, "checks", _check_ids(table)),
        visibility=table.get("visibility", VISIBILITIES[0]),
    )
    if rubric.visibility not in VISIBILITIES:
        raise SftRefError(f"{path}: visibility is {rubric.visibility!r}; give one of {', '.join(VISIBILITIES)}")
    total = _number(path, "total", table.get("total"))
    if not math.isclose(total, rubric.total, abs_tol=1e-9) or not total:
        raise SftRefError(
            f"{path}: total is {total:g}, but the parts add up to {rubric.total:g}; make them agree, above 0"
        )
    return rubric


def _check_ids(table: Mapping[str, Any]) -> set[str]:
    if not table.get("checks"):
        return set()  # spares the import of torch
    from sft_ref.harness.registry import ALL

    return {each.id for each in ALL}


def _points(path: Path, table: Mapping[str, Any], part: str, known: set[str]) -> dict[str, float]:
    given = table.get(part, {})
    if not isinstance(given, dict):
        raise SftRefError(f"{path}: {part} is {given!r}; give a table with a number of points for each")
    if unknown := given.keys() - known:
        few = f"; give {', '.join(sorted(known))}" if part != "checks" else "; `sft-ref checks` lists them"
        raise SftRefError(f"{path}: {part} has no {min(unknown)!r}{few}")
    return {name: _number(path, f"{part}.{name}", value) for name, value in given.items()}


def _number(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise SftRefError(f"{path}: {name} is {value!r}; give a number of points, 0 or more")
    return float(value)
