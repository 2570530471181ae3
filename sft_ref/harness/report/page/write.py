"""Fills the template of the page."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sft_ref.console.printable import printable
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.grade import HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.core.verdict import Status, Suspect, Verdict
from sft_ref.harness.report.causes import count_causes
from sft_ref.harness.report.classroom import word_of
from sft_ref.harness.report.terminal import figures_of, how_it_ran, meaning_of
from sft_ref.io.atomic_write import write_atomic

from .charts import draw_causes, draw_losses

_CHARTS = 100
"""Targets on a page with a loss curve each; on a longer page they would take minutes to draw."""


@dataclass(frozen=True)
class StageState:
    """One stage in the strip.

    Attributes:
        name: of the stage.
        state: `at fault`, `contract broken`, `cleared`, `examined` or `not examined`; it chooses colour and sign.
    """

    name: str
    state: str


def write_html(grades: Sequence[Grade], path: Path) -> None:
    """Writes a report for each target; for several, a table and the most frequent causes come first.

    Raises:
        OutputError: the file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    source = files(__package__) / "templates"
    script = (source / "table.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    causes = count_causes(grades) if len(grades) > 1 else []
    page = environment.get_template("page.html").render(
        style=Markup((source / "page.css").read_text(encoding="utf-8")),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        digest=digest,
        targets=[_target(grade, with_chart=len(grades) <= _CHARTS) for grade in grades],
        counts=_counts(grades),
        causes=causes,
        causes_chart=draw_causes(causes, len(grades)) if causes else "",
        stages=dict.fromkeys(stage for grade in grades if isinstance(grade, Verdict) for stage in grade.stages),
    )
    write_atomic(path, page)


def _inert(value: object) -> object:
    """Text with its control and formatting characters as escapes; markup of ours as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _counts(grades: Iterable[Grade]) -> list[tuple[str, int]]:
    """How many targets have each result, from best to worst."""
    counts = Counter(word_of(grade) for grade in grades)
    words = [*(str(each) for each in Status), "bad input", "not graded"]
    return [(word, counts[word]) for word in words if counts[word]]


def _target(grade: Grade, *, with_chart: bool) -> Mapping[str, Any]:
    """What the template shows of one target."""
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
    """Each stage of the target's kind, and what was found."""
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
