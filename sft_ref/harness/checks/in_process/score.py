"""Checks of the stage score: from answers to reported figures."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.checks.shared.score import compare_figures
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import AdapterOff
from sft_ref.harness.evidence.views import ReportedFigures

_LOOKED_UP = 0.2
"""Gain in accuracy; 13 more right answers of 64 have a probability under 0.001 if both answer equally well."""


@check(
    "SCR-004",
    "The figures of many rows are shares of all of them, whatever the size and the sign of the truth",
    why="A mean of the figures of batches gives the rows of an incomplete batch more weight; a bound of 5 % of a"
    " negative truth is never met.",
    remedy="Count over all rows, divide once, and take 5 % of the absolute value of the truth.",
    depends_on=("SCR-001",),
)
def figures_of_many_rows_are_shares_of_all(figures_of_many: Sequence[ReportedFigures]) -> None:
    """SCR-004: Gives the answers to 521 rows in place of the model, then only right and only wrong ones."""
    for each in figures_of_many:
        compare_figures(each)


@check(
    "SCR-005",
    "An answer that is a text is right if it equals the true one, up to case, spaces and a full stop",
    level=Level.CONTRACT,
    why="A text that contains the true one may say the contrary.",
    remedy="Compare whole texts after removing these differences; an empty text is no answer.",
    depends_on=("SCR-001",),
)
def texts_are_compared_as_a_whole(figures_of_texts: ReportedFigures) -> None:
    """SCR-005: Gives answers in place of the model."""
    compare_figures(figures_of_texts)


@check(
    "SCR-002",
    "Without its adapter, the model answers like its base",
    why="Answers that need no training come from somewhere else, such as the data files.",
    remedy="Answer with the model.",
    depends_on=("SCR-001",),
    source="S5",
)
def without_adapter_it_answers_as_its_base(adapter_off: AdapterOff) -> None:
    """SCR-002: Asks questions of a split that is present on every machine."""
    answered, base = adapter_off.answered, adapter_off.model_alone
    if answered >= base + _LOOKED_UP:
        seen = f"without the adapter, accuracy is {answered:.2f}"
        raise Failure(seen, f"{base:.2f}, the accuracy of its base", f"{adapter_off.rows} rows")
