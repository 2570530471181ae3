"""How far the modules of a model stay below fp16's largest number, and which is the first to leave what is finite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

FP16_LARGEST = 65504.0


@contextmanager
def largest_outputs(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """Within it, each module's largest output magnitude is kept by its name, in the order in which modules first end.

    NaN where one was put out, and infinity where it overflowed.
    """
    found: dict[str, float] = {}

    def note(name: str, output: Any) -> None:  # noqa: ANN401  # a tensor, a tuple, or an output of transformers
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if isinstance(first, torch.Tensor) and first.is_floating_point() and first.numel():
            seen = found.setdefault(name, 0.0)
            largest = first.detach().abs().max().item()
            found[name] = math.nan if math.isnan(seen) or math.isnan(largest) else max(seen, largest)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hook = module.register_forward_hook(lambda _module, _args, output, name=name: note(name, output))
            hooks.callback(hook.remove)
        yield found


def first_not_finite(found: dict[str, float]) -> str | None:
    """The first module that put out NaN or infinity."""
    return next((name for name, largest in found.items() if not math.isfinite(largest)), None)


def headroom(found: dict[str, float]) -> tuple[str, float]:
    """The module with the largest output, and that output as a share of fp16's largest number; above 1 it overflows."""
    name, largest = max(found.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])
    return name, largest / FP16_LARGEST
