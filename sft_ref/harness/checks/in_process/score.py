"""Checks of the stage score: from answers to reported figures."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import AdapterOff

_LOOKED_UP = 0.2
"""Gain in accuracy; 13 more right answers of 64 have a probability under 0.001 if both answer equally well."""


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
