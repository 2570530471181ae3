"""Records the outputs of a model's modules: at the last token, of the first row, their magnitudes and dtypes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .generation_recorder import Ids, find_transformer
from .scripted.model_inputs import cache_length, own_mask
from .steps.output_hooks import hook_outputs

FP16_LARGEST = 65504.0


@contextmanager
def last_outputs(model: torch.nn.Module) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Adds each module's name and its output at the last token of every row to the list."""
    found: list[tuple[str, torch.Tensor]] = []

    def note(name: str, output: torch.Tensor) -> None:
        if output.ndim > 1:
            found.append((name, output[:, -1]))

    with hook_outputs(find_transformer(model).named_modules(), note):
        yield found


@contextmanager
def first_states(model: torch.nn.Module) -> Iterator[list[tuple[Ids, torch.Tensor]]]:
    """Adds the first row's token ids and last hidden states of each forward pass to the list, without padding.

    Tokens that continue a cache are appended to those in the cache.
    """
    found: list[tuple[Ids, torch.Tensor]] = []

    def note(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ANN401
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        past = max(0, cache_length(kwargs.get("past_key_values")) - ids.shape[1])  # the cache holds these ids as well
        kept = own_mask(ids, kwargs.get("attention_mask"), past)[0]
        own, states = tuple(ids[0][kept].tolist()), output[0][0][kept].detach().float()
        if past and found:
            before, earlier = found.pop()
            own, states = (*before, *own), torch.cat([earlier, states])
        found.append((own, states))

    hook = find_transformer(model).base_model.register_forward_hook(note, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def computed_dtypes(model: torch.nn.Module) -> Iterator[set[torch.dtype]]:
    """Adds the dtype of each Linear layer's output to the set, which initially contains fp32."""
    found = {torch.float32}
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    with hook_outputs(linear, lambda _name, output: found.add(output.dtype)):
        yield found


@contextmanager
def largest_outputs(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """Records each module's largest output magnitude by name, in the order in which modules first finish.

    The magnitude is NaN if any output contains NaN, and infinity if it overflowed.
    """
    found: dict[str, float] = {}

    def note(name: str, output: torch.Tensor) -> None:
        before, largest = found.setdefault(name, 0.0), output.abs().max().item()
        found[name] = math.nan if math.isnan(before) or math.isnan(largest) else max(before, largest)

    with hook_outputs(model.named_modules(), note):
        yield found


def first_not_finite(found: dict[str, float]) -> str | None:
    """Returns the first module with NaN or infinity in its output."""
    return next((name for name, largest in found.items() if not math.isfinite(largest)), None)


def headroom(found: dict[str, float]) -> tuple[str, float]:
    """Returns the module with the largest output, and that output relative to fp16's maximum; above 1 it overflows."""
    name, largest = max(found.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])
    return name, largest / FP16_LARGEST
