import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy

WINDOW = 6


def forget(_decoder: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask = kwargs["attention_mask"]
    if not kwargs["past_key_values"].get_seq_length():
        return args, kwargs
    seen = torch.arange(mask.shape[1]) >= mask.shape[1] - WINDOW
    return args, {**kwargs, "attention_mask": mask * seen}


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    hook = model.get_base_model().model.register_forward_pre_hook(forget, with_kwargs=True)
    try:
        with computing(model, policy):
            yield
    finally:
        hook.remove()


MUTANT = Mutant(
    id="GEN-window",
    stage="generate",
    checks=("GEN-014",),
    fault="each new token attends to the last six tokens alone",
    source="own: a sliding window that the base was not trained with",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
