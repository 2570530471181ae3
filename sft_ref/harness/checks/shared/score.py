"""Shared checks of the stage score."""

from __future__ import annotations

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import ReportedFigures


@check(
    "SCR-001",
    "The reported accuracy and answer_rate are the shares of right answers (within 5 %) and of answers",
    why="Figures that are counted differently cannot be compared, and can hide that nothing is answered.",
    remedy="Count over all questions: right if strictly within 5 %, answered if not NaN.",
    depends_on=("PRS-002",),
    source="S4",
    aliases=("SCR-101",),
)
def figures_are_those_of_the_answers(reported_figures: ReportedFigures) -> str | None:
    """SCR-001: Scripts right, wrong and missing answers, and recounts the figures from the returned answers."""
    return compare_figures(reported_figures)


def compare_figures(reported_figures: ReportedFigures) -> str | None:
    """Raises a failure if a reported figure is not the one that is counted from the answers."""
    if not reported_figures.observed:
        return "it reports no figures"
    whole, *_ = reported_figures.expected
    if not any(whole.values()):
        raise Unavailable("no question is answered, so every figure is 0")
    for name, found in reported_figures.observed.items():
        if not any(
            abs(figure - due[name]) <= tolerance.TWO_DECIMALS for figure in found for due in reported_figures.expected
        ):
            seen = f"{name} is {' or '.join(f'{figure:.3f}' for figure in found[-3:])}"
            example = f"{reported_figures.questions} scripted answers"
            raise Failure(seen, f"{whole[name]:.3f}, counted from its answers", example)
    return None
