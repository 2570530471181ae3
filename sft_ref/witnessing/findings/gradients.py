"""Checks whether gradients reach the adapter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

from .observation import FirstStep, ObservedParameter, TrainingFault, listed, share


def check_gradients_can_flow(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports that the logits require no gradient, with the reason if it is known."""
    if step.outputs_need_gradients:
        return
    if step.reentrant and not step.inputs_need_gradients:
        yield _without_input_gradients()
        return
    yield TrainingFault(
        "the logits need no gradient: nothing that can be trained takes part in the forward",
        "put the adapter on the model, and do not run the forward under torch.no_grad()",
        is_fatal=True,
    )


def check_gradients_arrive(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports adapter modules whose gradients are absent, zero or not finite at the first step."""
    if not step.outputs_need_gradients:
        return
    modules = _by_module(step)
    absent = [name for name, each in modules.items() if all(one.gradient is None for one in each)]
    zero = [name for name, each in modules.items() if name not in absent and not any(one.gradient for one in each)]
    broken = [
        name
        for name, each in modules.items()
        if any(one.gradient is not None and not math.isfinite(one.gradient) for one in each)
    ]
    if absent and step.reentrant and not step.inputs_need_gradients:
        yield _without_input_gradients()
    elif absent:
        yield TrainingFault(
            f"no gradient reaches {share(len(absent), len(modules), 'modules')} of the adapter ({listed(absent)})",
            "check that these modules take part in the forward, and that nothing detaches their outputs",
            is_fatal=len(absent) == len(modules),
        )
    if zero:
        yield TrainingFault(
            f"the gradient of {share(len(zero), len(modules), 'modules')} of the adapter is zero ({listed(zero)})",
            "check that A and B do not both start at zero, that fp16 gradients are scaled, and that the loss depends on"
            " the logits",
            is_fatal=len(zero) == len(modules),
        )
    if broken:
        yield TrainingFault(
            f"the gradient of {share(len(broken), len(modules), 'modules')} of the adapter is NaN or infinite"
            f" ({listed(broken)})",
            "train in fp32 or bf16 autocast, or scale fp16 gradients; look for rows without a supervised token",
            is_fatal=True,
        )


def _without_input_gradients() -> TrainingFault:
    return TrainingFault(
        "gradient checkpointing in its reentrant form gets inputs without gradients: no gradient reaches the layers",
        "call model.enable_input_require_grads(), or pass use_reentrant=False to gradient_checkpointing_enable",
        is_fatal=True,
    )


def _by_module(step: FirstStep) -> dict[str, list[ObservedParameter]]:
    """Groups the adapter's trained tensors by module; A may have a zero gradient at first, since B starts at zero."""
    own = sorted((each for each in step.adapter if each.is_trainable and each.is_in_optimizer), key=lambda e: e.module)
    return {name: list(each) for name, each in groupby(own, key=lambda one: one.module)}


CHECKS = (check_gradients_can_flow, check_gradients_arrive)
