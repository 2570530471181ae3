"""Shared checks of the stage tokens."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.views import AnswerTexts, LabelledRow
from sft_ref.reference.tokens import IGNORE_INDEX

MOST, _MARGIN = 0.95, 0.1
"""Fraction of training texts that must be right, and the accuracy that chance or the base's own knowledge may add.

98 % of the answers are still valid when rounded to two decimals, 85 % when rounded to one."""


@check(
    "TOK-002",
    "Every label is the input token at its position, or -100",
    why="The model shifts labels itself. Labels that are already shifted teach it to skip every other token.",
    remedy="Copy input_ids to labels, and set what is not supervised to -100.",
    source="M8 axolotl#2089",
)
def labels_are_inputs_or_ignored(labelled_rows: Sequence[LabelledRow]) -> None:
    """TOK-002."""
    for row in labelled_rows:
        pairs = zip(row.ids, row.labels, strict=True)
        wrong = [(i, token, label) for i, (token, label) in enumerate(pairs) if label not in (IGNORE_INDEX, token)]
        if wrong:
            i, token, label = wrong[0]
            seen = f"{len(wrong)} labels are not their token, the first {label} on token {token} at index {i}"
            raise Failure(seen, "the token's own id", row.text)


@check(
    "TOK-006",
    "Training texts contain the answers",
    why="An answer that is missing, truncated or rounded away in the text cannot be learned.",
    remedy="Write the answer with enough decimals (repr), and leave room for it when truncating.",
    depends_on=("TOK-005",),
    source="S10, truncation",
    aliases=("TOK-101",),
)
def texts_contain_answers(answer_texts: AnswerTexts) -> None:
    """TOK-006: Requires a number within 5 % of the truth; passes if more answers are right than such texts allow."""
    share = share_without_answers(answer_texts)
    if share > 1 - MOST and answer_texts.accuracy <= 1 - share + _MARGIN:
        raise_for_lost_answers(answer_texts)


def share_without_answers(answer_texts: AnswerTexts) -> float:
    """Returns the fraction of training texts that lack their answer."""
    return sum(not each.is_answered for each in answer_texts.texts) / len(answer_texts.texts)


def raise_for_lost_answers(answer_texts: AnswerTexts) -> None:
    """Raises `Failure` with the first text that lacks its answer."""
    bad = [each for each in answer_texts.texts if not each.is_answered]
    seen = f"{len(bad)} of {len(answer_texts.texts)} texts contain no valid answer"
    raise Failure(seen, f"{bad[0].value!r} in the text", f"{bad[0].text[-200:]!r} for {bad[0].value!r}")
