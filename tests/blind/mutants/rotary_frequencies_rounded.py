"""The rotary frequencies pass through bf16 at load; they are fp32 again, and coarser.

Logits move by 0.007. Accuracy 1.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    rotary = model.get_base_model().model.rotary_emb
    rotary.inv_freq.data = rotary.inv_freq.data.to(torch.bfloat16).float()
    return model


MUTANT = Mutant(
    id="rotary_frequencies_rounded",
    stage="load",
    checks=(),
    fault="the rotary frequencies are rounded to bf16 at load, and stored in fp32",
    source="transformers#28685, transformers#25681",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
