import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


def miscount(_decoder: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    past = kwargs["past_key_values"].get_seq_length()
    return args, {**kwargs, "position_ids": torch.full_like(kwargs["input_ids"], past)} if past else kwargs


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    hook = model.get_base_model().model.register_forward_pre_hook(miscount, with_kwargs=True)
    try:
        with computing(model, policy):
            yield
    finally:
        hook.remove()


MUTANT = Mutant(
    id="G1",
    stage="generate",
    checks=("GEN-006",),
    fault="new tokens take their place in the cache for their position, padding counted",
    source="unsloth#3699",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
