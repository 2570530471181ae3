"""Checks the labels of the first batch."""

from __future__ import annotations

from collections.abc import Iterator

from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.witnessing.record.probes import supervised_positions

from .observation import FirstStep, TrainingFault, share


def check_all_masked(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports rows without a supervised token."""
    rows = step.rows
    empty = [row for row in rows if not supervised_positions(row.labels)]
    if len(empty) < len(rows) and any(batch.is_packed for batch in step.batches):
        return  # packing cuts texts, which may leave only the prompt of one
    if empty:
        yield TrainingFault(
            f"{share(len(empty), len(rows), 'rows')} of the first step have no supervised token: every label is -100",
            "check the collator's response template, the assistant mask, and whether truncation cuts the answers off",
            is_fatal=len(empty) == len(rows),
        )


def check_nothing_masked(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports supervised prompts, unless the caller wants to supervise whole texts."""
    rows = [row for row in step.rows if supervised_positions(row.labels)]
    if step.supervised == "all" or not rows:
        return
    full = [row for row in rows if IGNORE_INDEX not in _inner(row.labels)]
    if len(full) == len(rows):
        yield TrainingFault(
            f"nothing is masked in {share(len(full), len(rows), 'rows')} of the first step: the prompt is learned too",
            "label prompts with -100 (completion_only_loss or assistant_only_loss in TRL), or pass"
            " supervised='all' if whole texts are to be learned",
        )


def check_end(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports that no row supervises the token that ends an answer."""
    rows = [row for row in step.rows if supervised_positions(row.labels)]
    if not rows or not step.ends:
        return
    if any(label in step.ends for row in rows for label in row.labels[1:]):
        return
    also = (
        " (the padding token is the end-of-sequence token: a collator that masks padding by its id masks the end too)"
        if step.padding in step.ends
        else ""
    )
    yield TrainingFault(
        f"no row of the first step supervises the token that ends an answer{also}: answers will not stop",
        "append the end-of-sequence token to every text and supervise it; use another token for padding",
    )


def check_truncation(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports rows that fill the batch width and lack the end token that other rows have."""
    if len({len(row.input_ids) for row in step.rows}) == 1:
        return  # concatenated texts, cut into rows of one length
    cut = ended = 0
    for batch in step.batches:
        if not batch.has_labels or batch.is_packed:
            continue
        for row in batch.rows:
            has_end = any(label in step.ends for label in row.labels[-_BEHIND_END:])
            ended += has_end
            cut += bool(supervised_positions(row.labels)) and not has_end and len(row.input_ids) == batch.width
    if cut and ended:
        yield TrainingFault(
            f"{share(cut, cut + ended, 'rows')} of the first step are as long as the batch and have no end, as others"
            " do: their answers are cut by truncation",
            "raise max_length, or leave such rows out",
        )


_BEHIND_END = 4
"""Number of tokens at the end of a text that may contain its end token: chat templates append a newline."""


def check_padding(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports supervised padding."""
    if count := sum(batch.supervised_padding for batch in step.batches):
        yield TrainingFault(
            f"{count} tokens of padding are supervised in the first step: the model learns to write padding",
            "label tokens outside the attention mask with -100",
        )


def check_shift(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports labels that differ from the tokens at their positions."""
    pairs = [
        (row, place)
        for row in step.rows
        for place in supervised_positions(row.labels)
        if place + 1 < len(row.input_ids)
    ]
    own = sum(row.labels[place] == row.input_ids[place] for row, place in pairs)
    if not pairs or own >= len(pairs) / 2:
        return
    shifted = sum(row.labels[place] == row.input_ids[place + 1] for row, place in pairs)
    if shifted > len(pairs) / 2:
        yield TrainingFault(
            "the labels are the input's tokens shifted by one, and the model shifts them again: it learns the token"
            " after the next",
            "do not shift labels: each belongs at the position of its own token",
            is_fatal=True,
        )
    else:
        yield TrainingFault(
            f"{len(pairs) - own} of {len(pairs)} labels differ from the input tokens at their positions",
            "make labels a copy of input_ids with -100 where nothing is to be learned",
        )


def check_loss(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports a gradient at the logits that differs from that of the labels' cross-entropy."""
    if step.alignment is None or step.alignment >= SAME_DIRECTION:
        return
    yield TrainingFault(
        f"the loss is not the labels' cross-entropy: the gradient at the logits has a cosine of {step.alignment:.2f}"
        " with the one that the labels give",
        "minimise the model's own loss, or the cross-entropy of logits[:, :-1] and labels[:, 1:] with -100 ignored",
        is_fatal=step.alignment < 0,
    )


SAME_DIRECTION = 0.9
"""Minimum cosine of two gradients that count as gradients of the same loss. Label smoothing of 0.1 leaves 0.99, weights
for some tokens 0.95, and a loss that includes the prompt less than 0.8 for answers of usual length."""


def check_same_batch(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports processes of a distributed training that see the same rows."""
    if step.same_batch:
        one, other = step.same_batch[0]
        yield TrainingFault(
            f"processes {one} and {other} see the same first batch: the same rows are computed several times",
            "use a DistributedSampler, or let accelerate prepare the data loader",
        )


def _inner(labels: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the labels without the first (never predicted) and the last (some collators take it for padding)."""
    return labels[1:-1]


CHECKS = (
    check_all_masked,
    check_nothing_masked,
    check_end,
    check_truncation,
    check_padding,
    check_shift,
    check_loss,
    check_same_batch,
)
"""The checks, in the order in which their faults are reported."""
