"""A decoding loop whose model sees other inputs than the loop gives it."""

from collections.abc import Callable
from typing import Any

import torch

from sft_ref.reference.fast.decoding import decode

Inputs = dict[str, Any]


class Meddling:
    """A model that changes its inputs before it computes."""

    def __init__(self, model: Any, change: Callable[[Inputs], Inputs]) -> None:
        self.model, self.change = model, change

    def __call__(self, **inputs: Any) -> Any:
        return self.model(**self.change(inputs))

    def get_output_embeddings(self) -> torch.nn.Module:
        head: torch.nn.Module = self.model.get_output_embeddings()
        return head


def loop(change: Callable[[Inputs], Inputs]) -> dict[str, Any]:
    """Arguments of `generate`, as `LOOP` of the reference, with changed inputs."""

    def meddled(model: Any, input_ids: torch.Tensor, **prepared: Any) -> torch.Tensor:
        return decode(Meddling(model, change), input_ids, **prepared)  # type: ignore[arg-type]  # stands in for a model

    return {"custom_generate": meddled}
