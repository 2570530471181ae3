"""Checks of the stage score: from numbers to the figures reported."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import AdapterOff, ReportedFigures

_LOOKED_UP = 0.2
"""Share of questions; 13 more right of 64 have a chance under 0.001 where both answer alike."""


@check(
    "SCR-001",
    "The reported accuracy and answer_rate are the shares of right answers (within 5 %) and of answers",
    why="Figures that are counted differently cannot be compared, and can hide that nothing is answered.",
    remedy="Count over all questions: right if strictly within 5 %, answered if not NaN.",
    depends_on=("PRS-001",),
    source="S4",
)
def figures_are_those_of_the_answers(reported_figures: ReportedFigures) -> None:
    """SCR-001: the model is made to answer so that both figures are known."""
    rows = reported_figures.rows
    for name, share in reported_figures.expected.items():
        found = reported_figures.observed[name]
        if abs(found - share) > 1 / (2 * rows):
            raise Failure(f"{name} is {found:.3f}", f"{share:.3f}", f"{rows} scripted answers")


@check(
    "SCR-002",
    "Without its adapter, the model answers like its base",
    why="Answers that need no training come from somewhere else, such as the data files.",
    remedy="Answer with the model.",
    depends_on=("SCR-001",),
    source="S5",
)
def without_adapter_it_answers_as_its_base(adapter_off: AdapterOff) -> None:
    """SCR-002: on questions of a split that is on every machine."""
    answered, base = adapter_off.answered, adapter_off.model_alone
    if answered >= base + _LOOKED_UP:
        seen = f"without the adapter, accuracy is {answered:.2f}"
        raise Failure(seen, f"{base:.2f}, as of its base", f"{adapter_off.rows} rows")
