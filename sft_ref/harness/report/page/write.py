"""Writes the page of one target, or of a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.grade import HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.core.verdict import Status, Suspect, Verdict
from sft_ref.harness.report.causes import count_causes
from sft_ref.harness.report.classroom import word_of
from sft_ref.harness.report.terminal import figures_of, how_it_ran, meaning_of

from .charts import draw_causes, draw_losses
from .render import render

_LARGE = 100
"""Number of targets on a page above which reports are plain text until opened, and have no loss curves: a thousand
reports would take seconds to parse, and the curves minutes to draw."""


@dataclass(frozen=True)
class StageState:
    """One stage in the strip.

    Attributes:
        name: name of the stage.
        state: `at fault`, `contract broken`, `cleared`, `examined` or `not examined`; it selects colour and symbol.
    """

    name: str
    state: str


def write_html(grades: Sequence[Grade], path: Path) -> None:
    """Writes a report for each target; for several, a table and the most frequent causes come first.

    Raises:
        OutputError: the file cannot be written.
    """
    causes = count_causes(grades) if len(grades) > 1 else []
    is_large = len(grades) > _LARGE
    targets = [_target(grade, with_chart=not is_large) for grade in grades]
    render(
        path,
        "class.html" if len(grades) > 1 else "target.html",
        title=f"{len(grades)} targets" if len(grades) > 1 else f"{targets[0]['path']}: {targets[0]['word']}",
        targets=targets,
        is_large=is_large,
        counts=_counts(grades),
        causes=causes,
        causes_chart=draw_causes(causes, len(grades)) if causes else "",
        stages=dict.fromkeys(stage for grade in grades if isinstance(grade, Verdict) for stage in grade.stages),
    )


def _counts(grades: Iterable[Grade]) -> list[tuple[str, int]]:
    """Counts the targets with each result, from best to worst."""
    counts = Counter(word_of(grade) for grade in grades)
    words = [*(str(each) for each in Status), "bad input", "not graded"]
    return [(word, counts[word]) for word in words if counts[word]]


def _target(grade: Grade, *, with_chart: bool) -> Mapping[str, Any]:
    """Returns the template variables for one target."""
    shown: dict[str, Any] = {"path": grade.path, "word": word_of(grade), "kind": word_of(grade).replace(" ", "-")}
    if isinstance(grade, NotGraded):
        harmless = "It could not be graded. This says nothing about the target." if grade.code == HARNESS_ERROR else ""
        return shown | {"verdict": None, "reason": grade.reason, "meaning": harmless, "stages": (), "cause": ""}
    return shown | {
        "verdict": grade,
        "meaning": meaning_of(grade),
        "stages": grade.stages,
        "cause": grade.cause,
        "strip": [*_strip(grade)],
        "suspects": sorted(grade.suspects, key=_is_drift),
        "figures": figures_of(grade),
        "how": how_it_ran(grade),
        "notes": [note for note in grade.notes if note != how_it_ran(grade)],
        "chart": draw_losses(grade.losses) if with_chart and len(grade.losses) > 1 else "",
        "passed": sum(result.outcome is Outcome.PASS for result in grade.results),
        "others": [result for result in grade.results if _is_shown(result)],
        "blocked": [result.check.id for result in grade.results if result.outcome is Outcome.BLOCKED],
    }


def _is_drift(suspect: Suspect) -> bool:
    return suspect.status is not Status.BROKEN


def _is_shown(result: Result) -> bool:
    return result.outcome not in (Outcome.PASS, Outcome.BLOCKED)


def _strip(verdict: Verdict) -> Iterable[StageState]:
    """Yields each stage of the target's kind with its state."""
    found = {suspect.stage: suspect for suspect in verdict.suspects}
    covered = {each.stage: each for each in verdict.coverage}
    for stage in STAGES.values():
        if stage in found:
            yield StageState(stage, "contract broken" if _is_drift(found[stage]) else "at fault")
        elif stage in verdict.cleared:
            yield StageState(stage, "cleared")
        elif stage in covered and covered[stage].examined:
            yield StageState(stage, "examined")
        elif stage in covered:
            yield StageState(stage, "not examined")
