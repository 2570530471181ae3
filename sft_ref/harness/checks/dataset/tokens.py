"""Checks of the stage tokens: whether answers and their end tokens are supervised."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence, DatasetRow

from .counts import are_too_many, count, name_rows


@check(
    "TOK-401",
    "Every row has supervised tokens",
    why="A row whose labels are all -100 teaches nothing, and a batch of such rows has the loss NaN.",
    remedy="Supervise the answer: labels=completion, a chat template with a generation block, a larger max_length.",
    source="trl: assistant_only_loss without {% generation %}",
    core=True,
)
def rows_are_supervised(evidence: DatasetEvidence) -> str | None:
    """TOK-401: Examines rows after truncation."""
    bad = [row for row in evidence.rows if not row.supervised]
    if not bad:
        return None
    seen = f"{count(bad, evidence.rows)} have no label{_why_unlabelled(evidence)}"
    if are_too_many(bad, evidence.rows):
        raise Failure(seen, "labels in each", name_rows(bad))
    return f"{seen}: {name_rows(bad)}"


def _why_unlabelled(evidence: DatasetEvidence) -> str:
    if evidence.labels == "assistant" and not evidence.marks_assistant:
        return ": the chat template has no {% generation %} block, so that nothing is marked as the assistant's"
    if evidence.max_length is not None and any(row.is_cut and not row.supervised for row in evidence.rows):
        return f": {evidence.max_length} tokens end before the answer begins"
    return ""


@check(
    "TOK-402",
    "The token that ends an answer is supervised",
    why="A model learns to stop only if the end token is part of the loss.",
    remedy="Write an end token after the answer, and pad with a different token or mask by length instead of by id.",
    depends_on=("TOK-401",),
    source="transformers: DataCollatorForLanguageModeling masks pad_token_id",
    core=True,
)
def end_is_supervised(evidence: DatasetEvidence) -> str | None:
    """TOK-402: Examines rows before truncation, which TOK-403 reports."""
    rows = [row for row in evidence.rows if row.end is not None]
    if not rows:
        raise Unavailable("the ends of the answers cannot be located in the texts")
    bad = [row for row in rows if not row.is_end_supervised]
    if not bad:
        return None
    if without := [row for row in bad if not row.end]:
        seen = f"in {count(without, rows)} no special token ends the answer as formatted by {evidence.wording}"
    else:
        seen = f"in {count(bad, rows)} the end token, {bad[0].end!r}, has no label{_why_masked(evidence, bad[0])}"
    if are_too_many(bad, rows):
        raise Failure(seen, "a label on it", name_rows(bad))
    return f"{seen}: {name_rows(bad)}"


def _why_masked(evidence: DatasetEvidence, row: DatasetRow) -> str:
    if evidence.labels == "collator" and row.end == evidence.padding:
        return ", since it is also the padding token, whose id is masked"
    if evidence.labels == "assistant":
        return ", since the generation block of the chat template closes before it"
    return ""


@check(
    "TOK-403",
    "Truncation cuts no answer",
    why="The model learns a cut answer as it stands, without an end.",
    remedy="Raise max_length, or remove longer rows.",
)
def truncation_leaves_answers(evidence: DatasetEvidence) -> str | None:
    """TOK-403: Needs --max-length."""
    if evidence.max_length is None:
        raise Unavailable("no --max-length was given")
    bad = [row for row in evidence.rows if row.is_cut]
    if not bad:
        return None
    longest = max(row.tokens for row in bad)
    seen = f"{evidence.max_length} tokens cut the answer in {count(bad, evidence.rows)}, the longest of {longest}"
    if are_too_many(bad, evidence.rows):
        raise Failure(seen, "whole answers", name_rows(bad))
    return f"{seen}: {name_rows(bad)}"


@check(
    "TOK-404",
    "No answer is empty",
    level=Level.CONTRACT,
    why="A row without an answer teaches the model to answer nothing.",
    remedy="Remove these rows.",
)
def answers_are_not_empty(evidence: DatasetEvidence) -> None:
    """TOK-404: Counts an answer of white space alone as empty."""
    if bad := [row for row in evidence.rows if row.is_empty]:
        raise Failure(f"{count(bad, evidence.rows)} have an empty answer", "an answer in each", name_rows(bad))
