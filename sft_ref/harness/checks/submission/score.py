"""Checks of score: what it reports of a run that is laid down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments.answering import number, right
from sft_ref.harness.instruments.convention import decode, find_question
from sft_ref.harness.instruments.numerals import to_number
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.scripted_results import is_number, told_scripts
from sft_ref.reference.data import Row

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
    section = evidence.with_adapter["score"]
    if "metrics" in section and not any(section["metrics"].values()) and not section.get("output"):
        return "it reports no figures"
    figures = {name: [number(each) for each in found] for name, found in section.get("metrics", {}).items() if found}
    rows, values = _given(evidence, section)
    if not rows or not figures:
        raise Unavailable("it reports no figures of answers that were seen")
    unseen = {question for question, _ in evidence.unseen}
    parts = [
        [place for place, (question, _) in enumerate(rows) if (question in unseen) == kind] for kind in (True, False)
    ]
    due = [_shares([rows[i] for i in part], [values[i] for i in part]) for part in (range(len(rows)), *parts) if part]
    for name, found in figures.items():
        if not any(abs(figure - shares[name]) <= _FIGURE for figure in found for shares in due):
            seen = f"{name} {' or '.join(f'{figure:.3f}' for figure in found[-3:])}"
            raise Failure(seen, f"{due[0][name]:.3f}, counted from its answers", f"{len(rows)} questions")
    return None


def _shares(rows: Sequence[Row], values: Sequence[float]) -> dict[str, float]:
    return {
        "accuracy": sum(right(values, rows)) / len(rows),
        "answer_rate": sum(not math.isnan(value) for value in values) / len(rows),
    }


def _given(evidence: Evidence, section: Mapping[str, Any]) -> tuple[list[Row], list[float]]:
    """Questions of its benchmark, and its answers: as they were seen, or else as they were laid down."""
    truths = {question.strip(): value for question, value in [*evidence.unseen, *evidence.rows]}
    seen = [(str(question).strip(), number(value)) for question, value in section.get("answers", ())]
    if seen:
        known = [(question, value) for question, value in seen if question in truths]
        return [(question, truths[question]) for question, _ in known], [value for _, value in known]
    if _is_lossy(evidence):
        return [], []
    prompts = [decode(evidence.tokenizer, ids) for ids in section.get("prompts", ())]
    laid = zip(evidence.unseen, evidence.score_lines, strict=False)
    asked = [(row, line) for row, line in laid if any(find_question(row[0], prompt) for prompt in prompts)]
    return [row for row, _ in asked], [to_number(line["numeral"]) for _, line in asked]


def _is_lossy(evidence: Evidence) -> bool:
    """Whether numbers that the model says do not come back."""
    return any(
        not is_number(value, line["numeral"])
        for script, told in told_scripts(evidence, "together")
        for line, value in zip(script["lines"], told.get("values", ()), strict=False)
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
    crash = evidence.with_adapter.crash("score")
    if not evidence.with_adapter["score"]:
        raise Unavailable("testing was not reached")
    return f"{crash['type']}: {crash['message'][:200]} in {crash['where']}" if crash else None


CHECKS: tuple[Check, ...] = (
    figures_are_those_of_the_answers,
    testing_runs,
)
