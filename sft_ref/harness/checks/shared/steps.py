"""Shared checks of the stage train: the optimizer steps, one after the other.

A submission can forge the record of its steps. The record may show a fault, which is only drift if answers are good. It
never clears the stage: only TRN-103, which queries the trained adapter, shows that a submission's training was
examined.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import PRECISION, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.training import FirstLosses, RecordedStep, TrainingSteps

_NO_RATE = 1e-4
"""Fraction of the peak below which a learning rate counts as 0; a cosine schedule is below it in its last hundredth."""

_FEW = 0.05
"""Fraction of steps that may have no learning rate, for warmup and the end of a schedule."""

_FEWEST_RATES = 5
"""Minimum number of steps in the second half of a training whose schedule is judged."""

_ALL = 0.9
"""Fraction of the planned steps that must be taken; a gradient scaler skips a few."""

_IDLE = 0.1
"""Largest fraction of the steps at which a module may stay unchanged."""

_ALIKE = 0.8
"""Fraction of the tokens whose losses must agree in 16 bits."""

_DECAY = 0.25
"""Largest weight decay in the median step, as a fraction of the rest of the step. Usual settings stay below 0.01; if
decay decides where weights settle, it undoes all that a step adds, a fraction of 1."""

_CLIPPING = 0.01
"""Smallest fraction of the gradient that clipping may leave in the median step, if the norm falls below `_LITTLE`."""

_LITTLE = 0.03
"""Norm of a clipped gradient below which clipping may dominate; usual limits are 0.3 to 10. For large gradients, such a
limit makes steps of equal length, as sign-based optimizers do, which is sound."""


@check(
    "TRN-015",
    "The gradients of a step come from all of its batches, and from that step alone",
    why="If gradients are not zeroed, each step repeats all earlier ones. If they are zeroed between the batches of a"
    " step, only the last batch counts.",
    remedy="Call zero_grad once an optimizer step, before the first backward pass of the next one.",
    depends_on=("TRN-003", "TRN-102"),
    source="pytorch/examples#116",
)
def gradients_are_those_of_the_step(training_steps: TrainingSteps) -> None:
    """TRN-015: Allows accumulation within a step, and a second gradient of the same rows (sharpness-aware training)."""
    for number, step in enumerate(training_steps.steps, start=1):
        if step.stale:
            seen = f"step {number} adds its gradients to those of earlier steps in {len(step.stale)} tensors"
            raise Failure(seen, "gradients of this step alone", step.stale[0], survivable=True)
    lossy = [step for step in training_steps.steps if step.dropped and _has_other_rows(step)]
    if len(lossy) > len(training_steps.steps) / 2:
        seen = f"in {len(lossy)} of {len(training_steps.steps)} steps, gradients are zeroed between two backward passes"
        raise Failure(seen, "gradients of all batches of a step", lossy[0].dropped[0], survivable=True)


def _has_other_rows(step: RecordedStep) -> bool:
    """Returns whether the batches of a step have different rows."""
    return len({*step.rows}) > len(step.rows) / 2


@check(
    "TRN-016",
    "No tensor is frozen during training, and the optimizer has all that are trainable",
    why="A tensor that is frozen during training, or that no optimizer has, stops learning without a message.",
    remedy="Freeze before the optimizer is made, and pass all trainable parameters to it.",
    depends_on=("TRN-003", "TRN-102"),
)
def trained_tensors_stay_trained(training_steps: TrainingSteps) -> None:
    """TRN-016: Allows layers that are unfrozen during training."""
    trained: frozenset[str] = frozenset()
    for number, step in enumerate(training_steps.steps, start=1):
        if frozen := sorted(trained - step.trained):
            seen = f"{len(frozen)} tensors are frozen before step {number}"
            raise Failure(seen, "none", frozen[0], survivable=True)
        if step.outside:
            seen = f"at step {number}, {len(step.outside)} trainable tensors are in no optimizer"
            raise Failure(seen, "none", step.outside[0], survivable=True)
        trained |= step.trained


@check(
    "TRN-017",
    "Every adapted module has a gradient and moves at nearly every step with a learning rate above 0",
    why="A module that does not change is not trained, although its tensors are not zero and are saved.",
    remedy="Look for modules that are frozen, detached, or in a parameter group without a learning rate.",
    depends_on=("TOK-102", "TRN-003", "TRN-016", "TRN-102"),
)
def every_module_moves(training_steps: TrainingSteps) -> None:
    """TRN-017: Allows one of a module's two matrices to stay unchanged, as A does while B is zero.

    Experts to which a batch routes no token have no gradient at that step.
    """
    steps = [step for step in training_steps.steps if step.rate > 0]
    idle = Counter(name for step in steps for name in step.idle)
    still = sorted(name for name, count in idle.items() if count > _IDLE * len(steps))
    if still:
        seen = f"{len(still)} modules do not change in {idle[still[0]]} of {len(steps)} steps"
        raise Failure(seen, f"{_IDLE:.0%} of the steps at most", still[0], survivable=True)


@check(
    "TRN-018",
    "The learning rate stays above 0 until the planned end of training",
    why="Steps without a learning rate change nothing, and the data of these steps are not learned.",
    remedy="Give the schedule the number of optimizer steps that training takes.",
    depends_on=("TRN-003", "TRN-102"),
)
def rate_stays_above_zero(training_steps: TrainingSteps) -> None:
    """TRN-018: Allows warmup to begin at 0, and a schedule to end at 0."""
    steps, planned = training_steps.steps, training_steps.planned
    if planned is not None and len(steps) < _ALL * planned:
        raise Failure(f"training ends after {len(steps)} optimizer steps", f"{planned}, as planned")
    peak = max(step.rate for step in steps)
    if not peak:
        raise Unavailable("the optimizer names no learning rate, or it is 0 throughout")
    without = [number for number, step in enumerate(steps, start=1) if step.rate <= _NO_RATE * peak]
    allowed = max(2, int(_FEW * len(steps)))
    if len(without) > allowed:
        seen = f"the learning rate is 0 at {len(without)} of {len(steps)} steps"
        raise Failure(seen, f"at most {allowed}", f"steps {without[0]} to {without[-1]}", survivable=True)


@check(
    "TRN-012",
    "The warm-up ends before the training does",
    why="A warm-up that is longer than the training keeps the learning rate below its peak throughout.",
    remedy="Count the warm-up in optimizer steps, a tenth of the training or less, not in rows or micro-batches.",
    depends_on=("TRN-018",),
)
def warmup_ends(training_steps: TrainingSteps) -> None:
    """TRN-012: The learning rate must not rise at every step of the second half."""
    if training_steps.is_cut:
        raise Unavailable("the time limit of a grading ended the training before its schedule")
    steps = training_steps.steps
    rates = [step.rate for step in steps[len(steps) // 2 :]]
    if len(rates) < _FEWEST_RATES:
        raise Unavailable(f"{len(steps)} steps are too few to tell a warm-up from a schedule")
    if all(after > before for before, after in itertools.pairwise(rates)):
        seen = f"the learning rate is still rising at the last of {len(steps)} steps"
        raise Failure(seen, "a rise at the beginning alone", survivable=True)


@check(
    "TRN-021",
    "Modules compute in the same dtypes at every step",
    level=Level.CONTRACT,
    why="If autocast ends during training, the adapter is trained in two precisions, and loading can match only one.",
    remedy="Enter autocast around every forward pass, and do not cast the model while it is trained.",
    depends_on=("TRN-003", "TRN-102"),
    claim=PRECISION,
)
def dtypes_stay_the_same(training_steps: TrainingSteps) -> None:
    """TRN-021: Samples the steps that are powers of two, the middle step and the last one."""
    sampled = [(n, step.dtypes) for n, step in enumerate(training_steps.steps, start=1) if step.dtypes]
    if not sampled:
        raise Unavailable("no dtype was recorded")
    first_step, first = sampled[0]
    for number, dtypes in sampled[1:]:
        for name in first.keys() & dtypes.keys():
            if dtypes[name] != first[name]:
                differing = sum(dtypes[each] != first[each] for each in first.keys() & dtypes.keys())
                seen = f"{differing} modules compute in another dtype at step {number}, the first in {dtypes[name]}"
                raise Failure(seen, f"{first[name]}, as at step {first_step}", name)


@check(
    "TRN-025",
    "Neither weight decay nor clipping dominates the steps",
    why="Steps that mostly shrink the weights, or that keep almost nothing of the gradient, learn little.",
    remedy="Lower the weight decay, or raise the limit of the gradient norm; 0 to 0.1 and 1 are usual.",
    depends_on=("TRN-003", "TRN-102"),
)
def neither_decay_nor_clipping_dominates(training_steps: TrainingSteps) -> None:
    """TRN-025: Examines the median step with a learning rate; a change of tensors between two steps counts as decay."""
    moving = [step for step in training_steps.steps if step.rate > 0]
    if not moving:
        raise Unavailable("no step has a learning rate above 0")
    decay = statistics.median(step.decay for step in moving)
    if margins.exceeds(decay, _DECAY):
        seen = f"weight decay is {decay:.3g} times the rest of the median step"
        raise Failure(seen, f"at most {_DECAY}", survivable=True)
    sampled = [(step.clipping, step.clipped) for step in moving if step.clipping is not None]
    if sampled:
        share, length = (statistics.median(each) for each in zip(*sampled, strict=True))
        if share < _CLIPPING and length < _LITTLE:
            seen = f"clipping leaves {share:.3g} of the gradient of the median step, a norm of {length:.3g}"
            raise Failure(seen, f"at least {_CLIPPING}, or a norm of {_LITTLE}", survivable=True)


@check(
    "TRN-028",
    "Adam's first beta is below the square root of its second",
    why="If Adam forgets the size of a gradient before the gradient itself, steps exceed the learning rate by far.",
    remedy="Pass betas in the order of the optimizer, first that of the gradient: 0.9 and 0.999 are usual.",
    depends_on=("TRN-003", "TRN-102"),
)
def averages_of_gradients_decay_faster(training_steps: TrainingSteps) -> None:
    """TRN-028: Examines the median step with a learning rate and with betas; a schedule may change them.

    This bounds Adam's steps (Kingma & Ba 2015, Reddi et al. 2018). The usual betas of Lion meet it as well.
    """
    steps = [max(step.betas, key=_excess) for step in training_steps.steps if step.rate > 0 and step.betas]
    if not steps:
        raise Unavailable("no step with a learning rate above 0 has two betas")
    first, second = sorted(steps, key=_excess)[(len(steps) - 1) // 2]
    if _excess((first, second)) >= 0:
        seen = f"the betas of the median step are {first:.6g} and {second:.6g}"
        raise Failure(seen, "the first below the square root of the second", survivable=True)


def _excess(betas: tuple[float, float]) -> float:
    """Returns the difference between the square of the first beta and the second one."""
    return betas[0] * betas[0] - betas[1]


@check(
    "TRN-022",
    "The model has the loss of the base at the first step",
    why="Training that starts from a model other than the base learns what the base does not need.",
    remedy="Compare base, adapter initialisation, attention mask, positions and dtype in training with the base alone.",
    depends_on=("TRN-003", "TRN-102"),
)
def training_starts_from_the_base(first_losses: FirstLosses) -> None:
    """TRN-022: Compares the cross-entropy of each labelled token of the first batch, without dropout or other noise.

    A new adapter changes nothing, so only rounding may cause a difference. Token by token, errors do not cancel.
    """
    observed, expected = first_losses.observed.double(), first_losses.expected.double()
    names = {tolerance.name_dtype(getattr(torch, name)) for name in first_losses.dtypes}
    shares = [tolerance.FIRST_LOSS_16[name] for name in names if name in tolerance.FIRST_LOSS_16]
    if shares:
        apart = (observed - expected).abs().quantile(_ALIKE).item()
        allowed, where = max(shares) * expected.pow(2).mean().sqrt().item(), " or more at a fifth of the tokens"
    else:
        apart, allowed, where = (observed - expected).pow(2).mean().sqrt().item(), tolerance.FIRST_LOSS, ""
    if margins.exceeds(apart, allowed):
        mean = f"a mean of {observed.mean():.4f}"
        seen = f"losses at the first step differ from the base's by {apart:.2g} nat{where}, with {mean}"
        raise Failure(
            seen, f"at most {allowed:.2g} nat, with a mean of {expected.mean():.4f}", "step 1", survivable=True
        )
