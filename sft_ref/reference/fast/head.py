"""Speed only: restricts the output head, the largest matrix product of all, to the logits that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@contextmanager
def head_inputs_selected(
    model: PreTrainedModel | PeftModel, choose: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Passes only `choose` of the hidden states, (batch, tokens, hidden), to the head within its context.

    `choose` should return a contiguous tensor, not a view that skips positions like `logits_to_keep` of transformers:
    on such a view, torch's `linear` with a frozen weight becomes a batched product, which copies the weight for every
    row (in bf16, 5 s instead of 12 ms for 32 rows of SmolLM2's head).
    """
    head: Any = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: (choose(args[0]), *args[1:]))
    try:
        yield
    finally:
        hook.remove()


def logits_at(
    model: PreTrainedModel | PeftModel, inputs: Mapping[str, torch.Tensor], positions: torch.Tensor
) -> torch.Tensor:
    """Returns ``model(**inputs).logits[positions]``, row by row, without computing the other logits."""
    with head_inputs_selected(model, lambda hidden: hidden[positions].unsqueeze(0)):
        logits: torch.Tensor = model(**inputs).logits[0]
    return logits
