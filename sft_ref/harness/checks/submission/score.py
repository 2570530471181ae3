"""Checks of score: what it reports of a run that is laid down."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.instruments.answering import number, right
from sft_ref.harness.recorders.submission.scripted_results import completed_scripts, is_number

_FIGURE = 0.011
"""What rounding a figure to two decimals explains."""


@check(
    "SCR-101",
    "The reported figures equal those counted from the answers",
    why="Figures that are counted differently cannot be compared, and can hide that nothing is answered.",
    remedy="Count over all questions: right if within 5 %, answered if not NaN.",
    source="S4",
    core=True,
)
def figures_are_those_of_the_answers(evidence: Evidence) -> str | None:
    """SCR-101: of a run in which right, wrong and silent answers are laid down; recounted from what it answered."""
    scores = evidence.scores
    if scores.figures is not None and not any(scores.figures.values()) and not scores.printed:
        return "it reports no figures"
    figures = {name: [number(each) for each in found] for name, found in (scores.figures or {}).items() if found}
    answered = scores.answered if scores.was_observed else () if _is_lossy(evidence) else scores.scripted
    if not answered or not figures:
        raise Unavailable("it reports no figures of answers that were seen")
    parts = [[row for row in answered if (row[0] in scores.validation) == kind] for kind in (True, False)]
    due = [_shares(part) for part in (answered, *parts) if part]
    for name, found in figures.items():
        if not any(abs(figure - shares[name]) <= _FIGURE for figure in found for shares in due):
            seen = f"{name} {' or '.join(f'{figure:.3f}' for figure in found[-3:])}"
            raise Failure(seen, f"{due[0][name]:.3f}, counted from its answers", f"{len(answered)} questions")
    return None


def _shares(answered: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    values = [value for _, _, value in answered]
    return {
        "accuracy": sum(right(values, [(question, truth) for question, truth, _ in answered])) / len(answered),
        "answer_rate": sum(not math.isnan(value) for value in values) / len(answered),
    }


def _is_lossy(evidence: Evidence) -> bool:
    """Whether numbers that the model says do not come back."""
    return any(
        not is_number(value, line.numeral)
        for run in completed_scripts(evidence, "together")
        for line, value in zip(run.lines, run.answers.values or (), strict=False)
    )


@check(
    "SCR-102",
    "Testing completes",
    level=Level.CONTRACT,
    why="Without a test, no fault is noticed.",
    remedy="Fix the line that the traceback names.",
)
def testing_runs(evidence: Evidence) -> str | None:
    """SCR-102: with the adapter's folder. Advice, since what it takes besides is not known here."""
    if not evidence.scores.was_reached:
        raise Unavailable("testing was not reached")
    crash = evidence.scores.crash
    return f"{crash.type}: {crash.message[:200]} in {crash.where}" if crash else None
