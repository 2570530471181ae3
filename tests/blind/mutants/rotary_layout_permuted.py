"""The rows of lora_B of the queries and keys are saved in the interleaved rotary layout, as for GGUF.

Logits move by 3.8. Accuracy 1.00; sound 1.00.
"""

from pathlib import Path
from typing import Any

import torch
from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def interleave(tensor: torch.Tensor, head: int) -> torch.Tensor:
    rank = tensor.shape[1]
    return tensor.view(-1, 2, head // 2, rank).transpose(1, 2).reshape(-1, rank)


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    head = model.config.hidden_size // model.config.num_attention_heads

    def permute(tensors: Tensors) -> Tensors:
        turned = ("q_proj.lora_B.weight", "k_proj.lora_B.weight")
        return {name: interleave(tensor, head) if name.endswith(turned) else tensor for name, tensor in tensors.items()}

    rewrite(folder, permute)


MUTANT = Mutant(
    id="rotary_layout_permuted",
    stage="artifact",
    checks=(),
    fault="lora_B of q_proj and k_proj is stored in the rotary layout of another format",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
