"""Checks of the stage train: the process of training, one optimizer step after the other."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import PRECISION, Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.evidence.in_process.trained_parts import ResumedTraining
from sft_ref.harness.evidence.training import TrainingSteps
from sft_ref.reference.settings import Settings

_NO_RATE = 1e-4
"""Share of the peak below which a learning rate counts as 0; a cosine is below it in its last hundredth."""

_FEW = 0.05
"""Share of steps without a learning rate that warmup and the end of a schedule may take."""

_ALL = 0.9
"""Share of the planned steps that must be taken: a gradient scaler skips a few."""

_IDLE = 0.1
"""Largest share of the steps at which a module may stand still."""

_SIGMAS = 5
"""Standard deviations by which chance may lower the number of distinct rows."""

_DECAY = 0.25
"""Largest weight decay in the median step, as a share of the rest. Usual settings stay below a hundredth; where decay
decides where weights settle, it takes back all that a step adds, a share of 1."""

_CLIPPING = 0.01
"""Smallest share of the gradient that clipping may leave in the median step, if it leaves little: see `_LITTLE`."""

_LITTLE = 0.03
"""Length of a clipped gradient below which clipping may dominate; usual limits are 0.3 to 10. Of large gradients, such
a limit makes steps of one length, as optimizers that follow signs do, and that is sound."""


@check(
    "TRN-015",
    "The gradients of a step come from that step alone",
    why="If gradients are not zeroed, each step repeats all earlier ones, and training does not follow its batches.",
    remedy="Call zero_grad once an optimizer step, before the first backward pass of the next one.",
    depends_on=("TRN-003",),
    source="pytorch/examples#116",
)
def gradients_are_those_of_the_step(training_steps: TrainingSteps) -> None:
    """TRN-015: accumulation within a step is no failure."""
    for number, step in enumerate(training_steps.steps, start=1):
        if step.stale:
            seen = f"step {number} adds its gradients to earlier ones in {len(step.stale)} tensors"
            raise Failure(seen, "gradients of this step alone", step.stale[0])


@check(
    "TRN-016",
    "No tensor stops being trained on the way, and the optimizer has all that are trainable",
    why="A tensor that is frozen on the way, or that no optimizer has, stops learning without a message.",
    remedy="Freeze before the optimizer is made, and pass all trainable parameters to it.",
    depends_on=("TRN-003",),
)
def trained_tensors_stay_trained(training_steps: TrainingSteps) -> None:
    """TRN-016: layers that are unfrozen on the way are no failure."""
    trained: frozenset[str] = frozenset()
    for number, step in enumerate(training_steps.steps, start=1):
        if frozen := sorted(trained - step.trained):
            raise Failure(f"{len(frozen)} tensors are frozen before step {number}", "none", frozen[0])
        if step.outside:
            raise Failure(f"at step {number}, no optimizer has {len(step.outside)} tensors", "all", step.outside[0])
        trained |= step.trained


@check(
    "TRN-017",
    "Every adapted module has a gradient and moves at nearly every step with a learning rate above 0",
    why="A module that stands still is not trained, although its tensors are not zero and are saved.",
    remedy="Look for modules that are frozen, detached, or in a parameter group without a learning rate.",
    depends_on=("TRN-003", "TRN-016"),
)
def every_module_moves(training_steps: TrainingSteps) -> None:
    """TRN-017: of a module's two matrices one may stand still, as A does while B is zero.

    Experts to which a batch routes no token have no gradient at that step.
    """
    steps = [step for step in training_steps.steps if step.rate > 0]
    idle = Counter(name for step in steps for name in step.idle)
    still = sorted(name for name, count in idle.items() if count > _IDLE * len(steps))
    if still:
        seen = f"{len(still)} modules do not move in {idle[still[0]]} of {len(steps)} steps"
        raise Failure(seen, f"{_IDLE:.0%} of the steps at most", still[0])


@check(
    "TRN-018",
    "The learning rate stays above 0 until the planned end of training",
    why="Steps without a learning rate change nothing, and the data of these steps are not learned.",
    remedy="Give the schedule the number of optimizer steps that training takes.",
    depends_on=("TRN-003",),
)
def rate_stays_above_zero(training_steps: TrainingSteps, trained: TrainingResult, settings: Settings) -> None:
    """TRN-018: warmup may begin at 0, and a schedule may end there."""
    steps, planned = training_steps.steps, (trained.settings or settings).steps
    if len(steps) < _ALL * planned:
        raise Failure(f"training takes {len(steps)} optimizer steps", f"{planned}")
    peak = max(step.rate for step in steps)
    without = [number for number, step in enumerate(steps, start=1) if step.rate <= _NO_RATE * peak]
    allowed = max(2, int(_FEW * len(steps)))
    if len(without) > allowed:
        seen = f"the learning rate is 0 at {len(without)} of {len(steps)} steps"
        raise Failure(seen, f"at most {allowed}", f"steps {without[0]} to {without[-1]}")


@check(
    "TRN-019",
    "Training sees as many different rows as random draws would show",
    why="Data that never reach the model are not learned, and a small task hides it.",
    remedy="Inspect samplers, shards and filters: their parts together must hold all rows.",
    depends_on=("TRN-003",),
)
def no_part_of_the_data_is_left_out(training_steps: TrainingSteps) -> None:
    """TRN-019: the expected number of different rows in draws with replacement, less what chance explains."""
    rows, number = _rows_of(training_steps), training_steps.number_of_rows
    draws = len(rows) / number
    unseen = math.exp(-draws)
    deviation = math.sqrt(number * unseen * (1 - (1 + draws) * unseen))
    least = number * (1 - unseen) - _SIGMAS * deviation
    if len(set(rows)) < least:
        missing = next(index for index in range(number) if index not in rows)
        seen = f"{len(set(rows))} of {number} rows in {len(rows)} draws"
        raise Failure(seen, f"at least {math.ceil(least)}", f"row {missing} is never seen")


@check(
    "TRN-020",
    "Within an epoch, no row is seen twice while another is left out",
    level=Level.CONTRACT,
    why="Rows that are drawn more often than others weigh more in the loss.",
    remedy="Draw without replacement, in a new order for each epoch.",
    depends_on=("TRN-019",),
)
def rows_are_seen_evenly(training_steps: TrainingSteps) -> None:
    """TRN-020: an epoch ends with the first row that is seen again; a last batch may be dropped."""
    rows, number = _rows_of(training_steps), training_steps.number_of_rows
    least = number - max(len(step.rows) for step in training_steps.steps)
    epoch: set[int] = set()
    for row in rows:
        if row in epoch:
            if len(epoch) < least:
                raise Failure(f"row {row} is seen again after {len(epoch)} of {number} rows", f"at least {least} rows")
            epoch = set()
        epoch.add(row)


def _rows_of(training_steps: TrainingSteps) -> list[int]:
    """The rows in the order in which training sees them."""
    rows = [row for step in training_steps.steps for row in step.rows]
    known = [row for row in rows if row is not None]
    if not known or len(known) < len(rows):
        raise Unavailable(f"{len(rows) - len(known)} of {len(rows)} texts in training are not those of training_batch")
    return known


@check(
    "TRN-021",
    "Modules compute in the same dtypes at every step",
    level=Level.CONTRACT,
    why="If autocast is lost on the way, the adapter is trained in two precisions, and loading can match only one.",
    remedy="Enter autocast around every forward pass, and do not cast the model while it is trained.",
    depends_on=("TRN-003",),
    claim=PRECISION,
)
def dtypes_stay_the_same(training_steps: TrainingSteps) -> None:
    """TRN-021: at steps that are powers of two, in the middle, and at the last one."""
    sampled = [(n, step.dtypes) for n, step in enumerate(training_steps.steps, start=1) if step.dtypes]
    if not sampled:
        raise Unavailable("no dtype was recorded")
    first_step, first = sampled[0]
    for number, dtypes in sampled[1:]:
        for name in first.keys() & dtypes.keys():
            if dtypes[name] != first[name]:
                differing = sum(dtypes[each] != first[each] for each in first.keys() & dtypes.keys())
                seen = f"{differing} modules differ at step {number}, the first is {dtypes[name]}"
                raise Failure(seen, f"{first[name]}, as at step {first_step}", name)


@check(
    "TRN-022",
    "The model has the loss of the base at the first step",
    why="Training that starts from another model than the base learns what the base does not need.",
    remedy="Compare base, adapter initialisation, attention mask and dtype in training with the base alone.",
    depends_on=("TRN-003",),
)
def training_starts_from_the_base(training_steps: TrainingSteps, first_losses_of_base: torch.Tensor) -> None:
    """TRN-022: cross-entropy of each labelled token of the first batch, without dropout or other noise of training.

    A new adapter changes nothing, so that only rounding may set the two apart. Token by token, errors do not cancel.
    """
    losses = training_steps.first_losses
    if losses is None:
        raise Unavailable("the first batch is unknown, or its forward cannot be repeated")
    names = {"float32", *(training_steps.steps[0].dtypes or {}).values()}
    allowed = max(tolerance.FIRST_LOSS[tolerance.name_dtype(getattr(torch, name))] for name in names)
    apart = (losses - first_losses_of_base).pow(2).mean().sqrt().item()
    if margins.exceeds(apart, allowed):
        seen = f"losses differ by {apart:.2g} nat, with a mean of {losses.mean():.4f}"
        raise Failure(seen, f"at most {allowed}, with a mean of {first_losses_of_base.mean():.4f}", "step 1")


@check(
    "TRN-023",
    "Each reported loss is the mean cross-entropy of the labelled tokens of its step",
    level=Level.CONTRACT,
    why="A loss that is scaled, or that belongs to another step, cannot be compared with any other training.",
    remedy="Report the minimised loss, divided once by the number of labelled tokens of the step.",
    depends_on=("TRN-002",),
    source="transformers#34191",
)
def losses_are_those_of_their_steps(training_steps: TrainingSteps, trained: TrainingResult) -> None:
    """TRN-023: of a declared label smoothing, the cross-entropy under it."""
    smoothing = _smoothing_of(trained)
    if len(trained.losses) != len(training_steps.steps):
        raise Failure(f"{len(trained.losses)} losses for {len(training_steps.steps)} optimizer steps", "one a step")
    for number, (step, reported) in enumerate(zip(training_steps.steps, trained.losses, strict=True), start=1):
        if step.loss is None:
            raise Unavailable(f"the logits of step {number} do not match the labels")
        expected = step.loss.smoothed(smoothing)
        if margins.exceeds(abs(reported - expected), tolerance.REPORTED_LOSS * expected + tolerance.LAST_DIGIT):
            raise Failure(f"{reported:.4f} is reported", f"{expected:.4f}", f"step {number}")


@check(
    "TRN-024",
    "The gradient at the logits is that of the mean cross-entropy of the step's labelled tokens",
    level=Level.CONTRACT,
    why="A scaled gradient acts as another learning rate, or as another limit of clipping.",
    remedy="Call backward on the loss that is reported, divided once by the number of labelled tokens of the step.",
    depends_on=("TRN-002",),
    source="transformers#34191",
)
def gradients_have_the_scale_of_the_loss(training_steps: TrainingSteps, trained: TrainingResult) -> None:
    """TRN-024: at steps that are powers of two, in the middle, and at the last one."""
    if _smoothing_of(trained):
        raise Unavailable("the loss has label smoothing")
    scales = [(n, step.gradient_scale) for n, step in enumerate(training_steps.steps, start=1)]
    sampled = [(number, scale) for number, scale in scales if scale is not None]
    if not sampled:
        raise Unavailable("the logits in training do not match the labels")
    for number, scale in sampled:
        if margins.exceeds(abs(scale - 1), tolerance.GRADIENT_SCALE):
            raise Failure(f"{scale:.3g} times the gradient", "1", f"step {number}")


def _smoothing_of(trained: TrainingResult) -> float:
    if trained.label_smoothing is None:
        raise Unavailable("training declares another loss")
    return trained.label_smoothing


@check(
    "TRN-025",
    "Neither weight decay nor clipping dominates the steps",
    why="Steps that lead to zero more than to the data, or that keep almost nothing of the gradient, learn little.",
    remedy="Lower the weight decay, or raise the limit of the gradient norm; 0 to 0.1 and 1 are usual.",
    depends_on=("TRN-003",),
)
def neither_decay_nor_clipping_dominates(training_steps: TrainingSteps) -> None:
    """TRN-025: in the median step with a learning rate; a change of the tensors between two steps counts as decay."""
    moving = [step for step in training_steps.steps if step.rate > 0]
    if not moving:
        raise Unavailable("no step has a learning rate above 0")
    decay = statistics.median(step.decay for step in moving)
    if margins.exceeds(decay, _DECAY):
        raise Failure(f"the decay is {decay:.3g} times the rest of the median step", f"at most {_DECAY}")
    sampled = [(step.clipping, step.clipped) for step in moving if step.clipping is not None]
    if sampled:
        share, length = (statistics.median(each) for each in zip(*sampled, strict=True))
        if share < _CLIPPING and length < _LITTLE:
            seen = f"the median step keeps {share:.3g} of its gradient, a length of {length:.3g}"
            raise Failure(seen, f"at least {_CLIPPING}, or a length of {_LITTLE}")


@check(
    "TRN-026",
    "A training that is interrupted and resumed gives the same adapter, bit for bit, or refuses to resume",
    level=Level.CONTRACT,
    why="If the optimizer, the schedule or the order of rows starts anew, a resumed training is another training.",
    remedy="Save and restore the state of optimizer, schedule and random numbers, and skip the rows already seen.",
    depends_on=("TRN-008",),
)
def resuming_gives_the_same_adapter(resumed_training: ResumedTraining) -> None:
    """TRN-026: a short training, interrupted amid an epoch. A refusal to resume, with its reason, is no failure."""
    if not resumed_training.is_saved_as_trained:
        raise Blocked("what is saved is not what was trained: ART-004 reports it")
    resumed = resumed_training.resumed
    if resumed is None:
        raise Unavailable(f"the training does not resume: {resumed_training.refusal}")
    for name, tensor in resumed_training.whole.items():
        if name not in resumed or not torch.equal(tensor, resumed[name]):
            seen = f"the tensor differs after an interruption at step {resumed_training.after}"
            raise Failure(seen, "identical bits", name)
