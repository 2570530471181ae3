"""Computes the learning rates that a scheduler plans."""

from __future__ import annotations

from typing import Any

import torch

from sft_ref.witnessing.findings.observation import LRSchedule


def planned_lrs(optimizer: torch.optim.Optimizer | None, scheduler: Any, steps: int | None) -> LRSchedule:  # noqa: ANN401
    """Returns the planned learning rates of a training.

    Args:
        optimizer: None if not known yet.
        scheduler: learning rate scheduler; only the rates of a LambdaLR are computed ahead. None if there is none.
        steps: number of planned optimizer steps; None if unknown.
    """
    name = "" if optimizer is None else type(_inner(optimizer, "optimizer")).__name__
    if steps is None or steps < 1:
        return LRSchedule(None, (), name)
    scheduler = _inner(scheduler, "scheduler")
    if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
        pairs = list(zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True))
        rates = tuple(max(float(base) * float(of(step)) for base, of in pairs) for step in range(steps))
        return LRSchedule(steps, rates, name)
    if scheduler is None and optimizer is not None:
        return LRSchedule(steps, (max_lr(optimizer),) * steps, name)
    return LRSchedule(steps, (), name)


def max_lr(optimizer: torch.optim.Optimizer) -> float:
    """Returns the highest learning rate of its parameter groups."""
    return max((float(group.get("lr") or 0.0) for group in optimizer.param_groups), default=0.0)


def _inner(wrapper: Any, attribute: str) -> Any:  # noqa: ANN401
    """Returns the optimizer or scheduler inside accelerate's wrapper."""
    return getattr(wrapper, attribute, wrapper) if type(wrapper).__module__.startswith("accelerate") else wrapper
