"""Whether the planned learning rates can move the adapter, and whether they did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .observation import FirstStep, LearningPlan, TrainingFault, listed

LEAST_SUM = 1e-5
"""Sum of all learning rates of an optimizer that normalises its steps, below which nothing is learned.

No entry of the adapter moves farther. On the toy, 80 steps at 5e-5 (a sum of 4e-3) lower the loss by 0.05 nat a token,
and the fall is about proportional: 1e-5 is worth a ten-thousandth of a nat."""

FEW = 0.1
"""Share of the planned steps that may have a rate of zero at the end."""

_ROUNDED_AWAY = 0.9
"""Share of an adapter's values that no step changes, from which on it stands still."""


def check_sum(step: FirstStep) -> Iterator[TrainingFault]:
    """All learning rates together cannot move anything."""
    plan = step.plan
    if not plan.rates:
        return
    total = sum(plan.rates)
    if total == 0 or (plan.is_normalised and total < LEAST_SUM):
        yield TrainingFault(
            f"the learning rates of all {len(plan.rates)} planned steps add up to {total:.2g}: nothing can move",
            "raise the learning rate (1e-4 to 5e-4 is usual for LoRA), or train for more steps",
            is_fatal=True,
        )
        return
    lost = [each.name for each in step.adapter if each.rounded_away >= _ROUNDED_AWAY]
    if lost and plan.is_normalised:
        yield TrainingFault(
            f"steps of the highest planned rate, {max(plan.rates):.2g}, are smaller than the spacing of the values of"
            f" {len(lost)} adapter tensors ({listed(lost)})",
            "keep the adapter in float32, or raise the learning rate",
            is_fatal=len(lost) == len([each for each in step.adapter if each.is_trainable]),
        )


def check_early_end(step: FirstStep) -> Iterator[TrainingFault]:
    """The schedule is over long before the training."""
    yield from _early_end(step.plan.rates, "planned")


def check_rates_seen(plan: LearningPlan, rates: Sequence[float]) -> Iterator[TrainingFault]:
    """At the end of a training whose rates were not known before: the same, on the rates that were used."""
    if plan.rates or not rates:
        return
    total = sum(rates)
    if total == 0 or (plan.is_normalised and total < LEAST_SUM):
        yield TrainingFault(
            f"the learning rates of all {len(rates)} steps added up to {total:.2g}: nothing could move",
            "raise the learning rate (1e-4 to 5e-4 is usual for LoRA), or train for more steps",
            is_fatal=True,
        )
    else:
        yield from _early_end(rates, "of the training")


def _early_end(rates: Sequence[float], which: str) -> Iterator[TrainingFault]:
    used = max((number for number, rate in enumerate(rates, 1) if rate > 0), default=0)
    if used and len(rates) - used > max(FEW * len(rates), 1):
        yield TrainingFault(
            f"the learning rate is zero from step {used + 1} on, of {len(rates)} {which}",
            "give the scheduler the number of optimizer steps of the whole training",
        )


CHECKS = (check_sum, check_early_end)
