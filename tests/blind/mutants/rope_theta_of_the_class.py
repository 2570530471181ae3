"""The base's rope_theta of 100,000 is lost at load: the rotary embedding has the default of its class, 10,000.

Logits move by 5.0. Accuracy 1.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    rotary = model.get_base_model().model.rotary_emb
    half = len(rotary.inv_freq)
    rotary.inv_freq.data = (10_000.0 ** -(torch.arange(half) / half)).to(rotary.inv_freq)
    return model


MUTANT = Mutant(
    id="rope_theta_of_the_class",
    stage="load",
    checks=(),
    fault="the rotary embedding has the default rope_theta at load, not the base's",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
