"""Checks of the stage tokens: the training texts, and the labels of their tokens."""

from __future__ import annotations

from sft_ref.harness.checks.shared.tokens import MOST, raise_for_lost_answers, share_without_answers
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import compare, is_worse
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.submission.wording import labelled_texts, unlabelled_lead
from sft_ref.harness.evidence.views import AnswerTexts
from sft_ref.reference.tokens import IGNORE_INDEX


@check(
    "TOK-107",
    "Every training text contains its answer",
    level=Level.CONTRACT,
    why="A text whose answer is truncated, or in a format that no parser reads, teaches nothing or the wrong thing.",
    remedy="Allow texts the length they need, and write numbers as the parser reads them.",
    depends_on=("TOK-006",),
)
def all_texts_hold_answers(answer_texts: AnswerTexts) -> None:
    """TOK-107: Allows a few texts whose answers rounding makes wrong."""
    if share_without_answers(answer_texts) > 1 - MOST:
        raise_for_lost_answers(answer_texts)


@check(
    "TOK-102",
    "Every answer token has a label",
    why="A token without a label is never learned.",
    remedy="Mask the prompt alone, by its number of tokens in the training text.",
    depends_on=("TOK-006",),
    source="S3, M4, M5",
    core=True,
)
def answer_tokens_are_supervised(evidence: Evidence) -> str | None:
    """TOK-102: Examines the number's first token to its last; without observed labels, judges by what was learned."""
    if evidence.examples.labelled is False and evidence.training.has_learned:
        return "its labels were not observed; the trained model answers fresh questions, so numbers were supervised"
    answered = labelled_texts(evidence.examples)
    bare = [text for text in answered if IGNORE_INDEX in text.labels[text.begin : text.end]]
    if len(bare) > (1 - MOST) * len(answered):
        text = bare[0]
        dropped = [i for i in range(text.begin, text.end) if text.labels[i] == IGNORE_INDEX]
        raise Failure(
            f"{len(dropped)} of {text.end - text.begin} tokens of the number have no label, in {len(bare)} of "
            f"{len(answered)} texts",
            "a label each",
            f"{''.join(text.tokens[i] for i in dropped)!r} of {text.numeral!r}",
        )
    return None


@check(
    "TOK-103",
    "The end of the answer has a label",
    why="A model that is not trained to stop writes digits until its token budget is used up.",
    remedy="Append a closing tag or the end-of-sequence token to the answer, with a label.",
    depends_on=("TOK-102",),
    source="M1, M2",
)
def ends_are_supervised(evidence: Evidence) -> None:
    """TOK-103: Examines the first token after the number that is not a space; passes if most answers end anyway."""
    answered = labelled_texts(evidence.examples)
    bare = 0
    for text in answered:
        following = [i for i in range(text.end, len(text.ids)) if text.tokens[i].strip(" ")]
        bare += not following or text.labels[following[0]] == IGNORE_INDEX
    if bare > (1 - MOST) * len(answered) and not _ends(evidence):
        seen = f"nothing after the number has a label in {bare} of {len(answered)} texts"
        raise Failure(seen, "a label on the end", answered[0].text, survivable=True)


def _ends(evidence: Evidence) -> bool:
    """Returns whether the trained adapter ends most of its generations anyway."""
    rows = evidence.generations.own.generations if evidence.generations.own else ()
    ended = sum(evidence.examples.tokenizer.eos_token_id in row.new_token_ids for row in rows)
    return evidence.training.has_learned and (ended >= len(rows) / 2 or not evidence.artifact.is_saved_right)


@check(
    "TOK-104",
    "Every token that the model has to generate has a label",
    why="Unlabelled text between prompt and number is not learned, and then the number never follows.",
    remedy="Measure the length of the prompt in tokens of the training text itself, without an extra space.",
    depends_on=("TOK-102",),
    source="S3",
)
def what_is_to_be_written_is_supervised(evidence: Evidence) -> None:
    """TOK-104: Examines tokens from the end of the sent prompt; the stage prompt reports a whole tag missing there.

    A model may generate text that follows the prompt in every training text even without a label, so its loss decides.
    """
    texts = unlabelled_lead(evidence.examples)
    if not texts:
        return
    losses = evidence.experiments.lead_losses
    if losses is None:
        raise Unavailable("there is no adapter whose loss can be measured")
    own, due = losses.observed, losses.expected
    if is_worse(own, due):
        begin = texts[0].first_label or 0
        gap = texts[0].decode(begin - evidence.examples.unlabelled_lead, begin)
        seen = f"{gap!r} has no label; its loss is {own.mean():.3f} nat, {compare(own, due)} against a supervised one"
        raise Failure(seen, "a label on each token after the prompt", texts[0].text[-200:])


@check(
    "TOK-105",
    "Padding has no label",
    level=Level.CONTRACT,
    why="Rows with labelled padding teach the model to continue with padding, the shorter ones most.",
    remedy="Set the labels to -100 where the attention mask is 0.",
)
def padding_is_not_supervised(evidence: Evidence) -> None:
    """TOK-105: Examines every batch."""
    if not evidence.examples.labelled:
        raise Unavailable("its labels pass no boundary at which they can be seen")
    if evidence.examples.padding_labelled:
        raise Failure(f"{evidence.examples.padding_labelled} padded positions have a label", "none")


@check(
    "TOK-106",
    "Every training token exists in the inference tokenizer",
    why="A token that is added only for training has its own embedding, which the adapter does not contain.",
    remedy="Write tags in the base's own tokens, or add, train and save the same tokens wherever the base is loaded.",
    depends_on=("TOK-006",),
)
def tokens_are_known_when_answering(evidence: Evidence) -> None:
    """TOK-106: Finds added ids that the loaded tokenizer lacks, or if its size is unknown, that are never used."""
    added = set(evidence.examples.added)
    rows = evidence.generations.own.generations if evidence.generations.own else ()
    if not added:
        return
    if not rows:
        raise Unavailable("no generation was observed")
    size = evidence.loaded.own_vocabulary
    known = {token for row in rows for token in (*row.prompt.ids, *row.new_token_ids)}
    lost = {token for token in added if token >= size} if size else set() if added & known else added
    if lost:
        known_tokens = size or evidence.examples.tokenizer.size
        seen = f"{len(lost)} training tokens are beyond the {known_tokens} of the inference tokenizer"
        raise Failure(seen, "none", f"ids {sorted(lost)[:3]}", survivable=True)
