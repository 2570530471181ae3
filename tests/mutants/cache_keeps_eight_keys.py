import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from mutation import Mutant
from transformers import DynamicCache

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy

KEPT = 8

update = DynamicCache.update


def forgetful(
    self: DynamicCache, keys: torch.Tensor, values: torch.Tensor, layer: int, *args: Any, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Zeros in place of older keys and values: the length, and with it the mask, stays."""
    keys, values = update(self, keys, values, layer, *args, **kwargs)
    if keys.shape[-2] > KEPT and self.get_seq_length(layer) > KEPT and self.is_generating:  # type: ignore[attr-defined]
        keys[..., :-KEPT, :] = 0
        values[..., :-KEPT, :] = 0
    return keys, values


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    def note(_decoder: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        cache = kwargs["past_key_values"]
        cache.is_generating = cache.get_seq_length() > 0

    hook = model.get_base_model().model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with mock.patch.object(DynamicCache, "update", forgetful), computing(model, policy):
            yield
    finally:
        hook.remove()


MUTANT = Mutant(
    id="GEN-cache",
    stage="generate",
    checks=("GEN-014",),
    fault="the cache keeps the last eight keys, as one that evicts old ones does",
    source="own: a cache of a fixed size, smaller than prompt and answer",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
