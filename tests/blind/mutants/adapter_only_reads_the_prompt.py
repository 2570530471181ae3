"""The adapter is at work while the prompt is read, and off while new tokens are decoded.

Of 1,000 completions, 996 change: they go on after the closing tag until the limit. Accuracy 0.97; sound 0.97.
"""

from typing import Any

import torch
from _decoding import Inputs, Meddling
from mutation import Mutant
from peft.tuners.tuners_utils import BaseTunerLayer

from sft_ref.reference.fast.decoding import decode


def broken(model: Any, input_ids: torch.Tensor, **prepared: Any) -> torch.Tensor:
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]

    def switch(inputs: Inputs) -> Inputs:
        for layer in layers:
            layer._disable_adapters = inputs["attention_mask"].shape[1] > input_ids.shape[1]
        return inputs

    try:
        return decode(Meddling(model, switch), input_ids, **prepared)  # type: ignore[arg-type]  # stands in for a model
    finally:
        for layer in layers:
            layer._disable_adapters = False


MUTANT = Mutant(
    id="adapter_only_reads_the_prompt",
    stage="generate",
    checks=(),
    fault="all new tokens but the first are decoded without the adapter",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
