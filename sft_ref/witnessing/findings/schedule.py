"""Checks whether the learning rates, planned or used, can change the adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .observation import FirstStep, LRSchedule, TrainingFault, listed

LEAST_SUM = 1e-5
"""Minimum sum of all learning rates of an optimizer that normalises its steps; below it, nothing is learned.

No entry of the adapter changes by more than this sum. On the toy model, 80 steps at 5e-5 (a sum of 4e-3) lower the loss
by 0.05 nat per token, and the decrease is about proportional: 1e-5 lowers it by a ten-thousandth of a nat."""

FEW = 0.1
"""Maximum share of the planned steps, at the end, that may have a learning rate of zero."""

_ROUNDED_AWAY = 0.9
"""Minimum share of an adapter's values that no step changes for the adapter to count as unchanged."""

_RAISE = "raise the learning rate (1e-4 to 5e-4 is usual for LoRA), or train for more steps"


def check_sum(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports learning rates whose sum is too small to change the adapter."""
    plan = step.plan
    if not plan.rates:
        return
    if _is_too_small(plan, plan.rates):
        seen = f"all {len(plan.rates)} planned steps add up to {sum(plan.rates):.2g}: nothing can move"
        yield TrainingFault(f"the learning rates of {seen}", _RAISE, is_fatal=True)
        return
    lost = [each.name for each in step.adapter if each.rounded_away >= _ROUNDED_AWAY]
    if lost and plan.is_normalised:
        yield TrainingFault(
            f"steps at the highest planned learning rate, {max(plan.rates):.2g}, are smaller than the spacing of"
            f" numbers in {len(lost)} adapter tensors ({listed(lost)})",
            "keep the adapter in float32, or raise the learning rate",
            is_fatal=len(lost) == len([each for each in step.adapter if each.is_trainable]),
        )


def check_early_end(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports a schedule that ends long before the training."""
    yield from _early_end(step.plan.rates, "planned")


def check_rates_seen(plan: LRSchedule, rates: Sequence[float]) -> Iterator[TrainingFault]:
    """Checks the learning rates that were used, at the end of a training whose rates were not known before."""
    if plan.rates or not rates:
        return
    if _is_too_small(plan, rates):
        seen = f"all {len(rates)} steps added up to {sum(rates):.2g}: nothing could move"
        yield TrainingFault(f"the learning rates of {seen}", _RAISE, is_fatal=True)
    else:
        yield from _early_end(rates, "of the training")


def _is_too_small(plan: LRSchedule, rates: Sequence[float]) -> bool:
    total = sum(rates)
    return total == 0 or (plan.is_normalised and total < LEAST_SUM)


def _early_end(rates: Sequence[float], which: str) -> Iterator[TrainingFault]:
    used = max((number for number, rate in enumerate(rates, 1) if rate > 0), default=0)
    if used and len(rates) - used > max(FEW * len(rates), 1):
        yield TrainingFault(
            f"the learning rate is zero from step {used + 1} on, of {len(rates)} {which}",
            "give the scheduler the number of optimizer steps of the whole training",
        )


CHECKS = (check_sum, check_early_end)
