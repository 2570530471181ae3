"""The shared key and value heads are repeated in turn, not one after the other, as if by `repeat`.

Grouped-query attention becomes full attention at load: query head i reads head i % 2 in place of i // 3.
Accuracy 0.03; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for layer in model.get_base_model().model.layers:
        attention = layer.self_attn
        groups, attention.num_key_value_groups = attention.num_key_value_groups, 1

        def tile(_module: Any, _inputs: Any, states: torch.Tensor, groups: int = groups) -> torch.Tensor:
            return states.repeat(1, 1, groups)

        attention.k_proj.register_forward_hook(tile)
        attention.v_proj.register_forward_hook(tile)
    return model


MUTANT = Mutant(
    id="kv_heads_tiled",
    stage="load",
    checks=(),
    fault="query heads read the key and value heads of other groups at load",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
