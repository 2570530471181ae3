"""Checks of the stage train: the training process, step by optimizer step."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.evidence.in_process.trained_parts import ResumedTraining
from sft_ref.harness.evidence.training import RecordedTraining

_SIGMAS = 5
"""Number of standard deviations by which chance may lower the number of distinct rows."""


@check(
    "TRN-019",
    "Training sees as many different rows as random draws would show",
    why="Data that never reach the model are not learned, and a small task hides it.",
    remedy="Inspect samplers, shards and filters: their parts together must hold all rows.",
    depends_on=("TRN-003",),
)
def no_part_of_the_data_is_left_out(training_steps: RecordedTraining) -> None:
    """TRN-019: Requires the number of different rows expected from draws with replacement, allowing for chance."""
    rows, number = _rows_of(training_steps), training_steps.number_of_rows
    draws = len(rows) / number
    unseen = math.exp(-draws)
    deviation = math.sqrt(number * unseen * (1 - (1 + draws) * unseen))
    least = number * (1 - unseen) - _SIGMAS * deviation
    if len(set(rows)) < least:
        missing = next(index for index in range(number) if index not in rows)
        seen = f"training sees {len(set(rows))} of {number} rows in {len(rows)} draws"
        raise Failure(seen, f"at least {math.ceil(least)}", f"row {missing} is never seen")


@check(
    "TRN-020",
    "Within an epoch, no row is seen twice while another is left out",
    level=Level.CONTRACT,
    why="Rows that are drawn more often than others weigh more in the loss.",
    remedy="Draw without replacement, in a new order for each epoch.",
    depends_on=("TRN-019",),
)
def rows_are_seen_evenly(training_steps: RecordedTraining) -> None:
    """TRN-020: Ends an epoch at the first row that is seen again; the last batch may be dropped."""
    rows, number = _rows_of(training_steps), training_steps.number_of_rows
    least = number - max(len(step.rows) for step in training_steps.steps)
    epoch: set[int] = set()
    for row in rows:
        if row in epoch:
            if len(epoch) < least:
                raise Failure(f"row {row} is seen again after {len(epoch)} of {number} rows", f"at least {least} rows")
            epoch = set()
        epoch.add(row)


def _rows_of(training_steps: RecordedTraining) -> list[int]:
    """Returns the rows in the order in which training sees them."""
    rows = [row for step in training_steps.steps for row in step.rows]
    known = [row for row in rows if row is not None]
    if not known or len(known) < len(rows):
        raise Unavailable(f"{len(rows) - len(known)} of {len(rows)} texts in training are not those of training_batch")
    return known


@check(
    "TRN-023",
    "Each reported loss is the mean cross-entropy of the labelled tokens of its step",
    level=Level.CONTRACT,
    why="A loss that is scaled, or that belongs to another step, cannot be compared with any other training.",
    remedy="Report the minimised loss, divided once by the number of labelled tokens of the step.",
    depends_on=("TRN-002",),
    source="transformers#34191",
)
def losses_are_those_of_their_steps(training_steps: RecordedTraining, trained: TrainingResult) -> None:
    """TRN-023: Computes the cross-entropy with the declared label smoothing, if any."""
    smoothing = _smoothing_of(trained)
    if len(trained.losses) != len(training_steps.steps):
        raise Failure(
            f"training reports {len(trained.losses)} losses for {len(training_steps.steps)} optimizer steps",
            "one per step",
        )
    for number, (step, reported) in enumerate(zip(training_steps.steps, trained.losses, strict=True), start=1):
        if step.loss is None:
            raise Unavailable(f"the logits of step {number} do not match the labels")
        expected = step.loss.smoothed(smoothing)
        if margins.exceeds(abs(reported - expected), tolerance.REPORTED_LOSS * expected + tolerance.LAST_DIGIT):
            raise Failure(f"the loss {reported:.4f} is reported", f"{expected:.4f}", f"step {number}")


@check(
    "TRN-024",
    "The gradient at the logits is that of the mean cross-entropy of the step's labelled tokens",
    level=Level.CONTRACT,
    why="A scaled gradient acts like a different learning rate, or like a different limit of clipping.",
    remedy="Call backward on the loss that is reported, divided once by the number of labelled tokens of the step.",
    depends_on=("TRN-002",),
    source="transformers#34191",
)
def gradients_have_the_scale_of_the_loss(training_steps: RecordedTraining, trained: TrainingResult) -> None:
    """TRN-024: Samples the steps that are powers of two, the middle step and the last one."""
    if _smoothing_of(trained):
        raise Unavailable("the loss has label smoothing")
    scales = [(n, step.gradient_scale) for n, step in enumerate(training_steps.steps, start=1)]
    sampled = [(number, scale) for number, scale in scales if scale is not None]
    if not sampled:
        raise Unavailable("the logits in training do not match the labels")
    for number, scale in sampled:
        if margins.exceeds(abs(scale - 1), tolerance.GRADIENT_SCALE):
            raise Failure(f"the gradient at the logits is {scale:.3g} times the true one", "1", f"step {number}")


def _smoothing_of(trained: TrainingResult) -> float:
    if trained.label_smoothing is None:
        raise Unavailable("training declares another loss")
    return trained.label_smoothing


@check(
    "TRN-026",
    "A training that is interrupted and resumed gives the same adapter, bit for bit, or refuses to resume",
    level=Level.CONTRACT,
    why="If the optimizer, the schedule or the order of rows starts over, a resumed training differs from a whole one.",
    remedy="Save and restore the state of optimizer, schedule and random numbers, and skip the rows already seen.",
    depends_on=("TRN-008",),
)
def resuming_gives_the_same_adapter(resumed_training: ResumedTraining) -> None:
    """TRN-026: Interrupts a short training within an epoch; an explained refusal to resume is not a failure."""
    if not resumed_training.is_saved_as_trained:
        raise Blocked("the saved tensors are not the trained ones: ART-004 reports it")
    resumed = resumed_training.resumed
    if resumed is None:
        raise Unavailable(f"the training does not resume: {resumed_training.refusal}")
    for name, tensor in resumed_training.whole.items():
        if name not in resumed or not torch.equal(tensor, resumed[name]):
            seen = f"a tensor differs after an interruption at step {resumed_training.after}"
            raise Failure(seen, "identical bits", name)
