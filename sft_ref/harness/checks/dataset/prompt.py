"""Checks of the stage prompt: whether the training text begins with the prompt."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence

from .counts import are_too_many, count, name_rows


@check(
    "PRM-401",
    "The prompt that is sent is a prefix of the training text, token by token",
    why="A model answers after the tokens that it was trained on; different tokens ask for something else, and"
    " supervision begins at the wrong token.",
    remedy="Send the training text up to the answer. `sft-ref prompt` shows where they differ.",
    source="trl: 'Mismatch between tokenized prompt and the start of tokenized prompt+completion'",
    core=True,
)
def prompt_is_a_prefix(evidence: DatasetEvidence) -> str | None:
    """PRM-401: Examines the rows that mark where their answer begins; TOK-404 reports empty answers."""
    rows = [row for row in evidence.rows if row.has_prompt and not row.is_empty]
    if not rows:
        raise Unavailable("no row says where its answer begins; give --prompt")
    parted = [(row, row.parting) for row in rows if row.parting]
    if not parted:
        return None
    (first, parting), bad = parted[0], [row for row, _ in parted]
    place = f"in row {first.number} at token {parting.index} of {parting.length}"
    seen = f"in {count(bad, rows)} the training text does not begin with the prompt, {place}"
    if are_too_many(bad, rows):
        raise Failure(f"{seen}: {parting.reason}", "a prefix", name_rows(bad))
    return f"{seen}: {parting.reason}"


@check(
    "PRM-402",
    "The chat template writes each supervised answer, and the text before it, the same way whether or not turns follow",
    level=Level.CONTRACT,
    why="If the chat template writes earlier turns differently from the last one, for example without their"
    " reasoning or end token, the trained answers differ from those in the data.",
    remedy="Use a template that preserves prefixes, split each answer into its own row, or supervise the last"
    " answer only.",
    source="trl: is_chat_template_prefix_preserving",
)
def template_preserves_prefixes(evidence: DatasetEvidence) -> None:
    """PRM-402: Examines rows with several supervised answers."""
    rows = [row for row in evidence.rows if row.earlier_turns]
    if not rows:
        raise Unavailable("no row has several supervised answers")
    if bad := [row for row in rows if row.differing_turns]:
        seen = (
            f"in {count(bad, rows)} with several answers the template writes an earlier one differently from the last"
        )
        raise Failure(seen, "the same text", name_rows(bad))
