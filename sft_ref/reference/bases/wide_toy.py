"""A larger model that computes the same as the toy: its additional layers, heads, hidden units and tokens are idle.

A fine-tune has no reason to treat the two models differently.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sft_ref.io.base_config import CONFIG, WEIGHTS

HEADS, KV_HEADS, LAYERS, HIDDEN, INTERMEDIATE, VOCABULARY = 9, 3, 4, 288, 512, 3072
LEAST_LIKELY = 92
"""The token that the toy predicts least after any text; the added rows of the embedding are copies of its row."""


def make_wide_toy(toy: Path, folder: Path) -> None:
    """Writes the larger model.

    Args:
        toy: folder of the toy.
        folder: an empty folder.
    """
    shutil.copytree(toy, folder, dirs_exist_ok=True)
    config = json.loads((toy / CONFIG).read_text(encoding="utf-8"))
    ratio = config["hidden_size"] / HIDDEN
    sizes = {
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_hidden_layers": LAYERS,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": config["rms_norm_eps"] * ratio,  # the mean square is smaller by the same factor
    }
    (folder / CONFIG).write_text(json.dumps(config | sizes, indent=2) + "\n", encoding="utf-8")
    save_file(_widened(toy, config, ratio), folder / WEIGHTS, metadata={"format": "pt"})


def _widened(toy: Path, config: dict[str, Any], ratio: float) -> dict[str, torch.Tensor]:
    tensors = load_file(toy / WEIGHTS)
    size = config["hidden_size"] // config["num_attention_heads"]
    shapes = {
        "embed_tokens.weight": (VOCABULARY, HIDDEN),
        "q_proj.weight": (HEADS * size, HIDDEN),
        "k_proj.weight": (KV_HEADS * size, HIDDEN),
        "v_proj.weight": (KV_HEADS * size, HIDDEN),
        "o_proj.weight": (HIDDEN, HEADS * size),
        "gate_proj.weight": (INTERMEDIATE, HIDDEN),
        "up_proj.weight": (INTERMEDIATE, HIDDEN),
        "down_proj.weight": (HIDDEN, INTERMEDIATE),
        "norm.weight": (HIDDEN,),
    }
    wide = {}
    for name, tensor in tensors.items():
        shape = next(shape for ending, shape in shapes.items() if name.endswith(ending))
        wide[name] = torch.zeros(shape, dtype=tensor.dtype)
        wide[name][tuple(map(slice, tensor.shape))] = tensor * (ratio**0.5 if name.endswith("norm.weight") else 1)
    least = tensors["model.embed_tokens.weight"][LEAST_LIKELY]
    wide["model.embed_tokens.weight"][config["vocab_size"] :, : config["hidden_size"]] = least
    for name in [name for name in wide if ".layers.0." in name]:
        for layer in range(config["num_hidden_layers"], LAYERS):  # adds nothing to the hidden states
            wide[name.replace(".layers.0.", f".layers.{layer}.")] = torch.zeros_like(wide[name])
    return wide
