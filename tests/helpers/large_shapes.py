"""Writes folders with the shapes of large models but almost no content: sparse files, which read as zeros."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

Shapes = Mapping[str, tuple[int, ...]]
Config = Mapping[str, Any]
Modules = Iterable[tuple[str, int, int]]
"""Names of Linear modules, with their input and output sizes."""

LLAMA_3_70B: Config = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "dtype": "bfloat16",
}
"""The values in config.json of Meta-Llama-3-70B."""

MISTRAL_7B: Config = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "dtype": "bfloat16",
}

MIXTRAL_8X7B: Config = {
    **MISTRAL_7B,
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}

QWEN3_30B_A3B: Config = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "vocab_size": 151936,
    "dtype": "bfloat16",
}

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


def write_base(folder: Path, config: Config) -> Path:
    """Writes a base that consists of its configuration only."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_sparse(path: Path, shapes: Shapes, *, filled: int) -> None:
    """Writes a sparse safetensors file of bfloat16 zeros; only the first numbers of each tensor take space on disk.

    Args:
        path: file path.
        shapes: tensor -> shape.
        filled: how many numbers of each tensor are random.
    """
    table: dict[str, dict[str, object]] = {}
    places: list[tuple[int, int]] = []
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        table[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
        places.append((begin, end))
    header = json.dumps(table).encode()
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)
        for begin, last in places:
            numbers = torch.randn(min(filled, (last - begin) // 2), generator=generator).bfloat16()
            file.seek(8 + len(header) + begin)
            file.write(numbers.view(torch.uint8).numpy().tobytes())


def write_adapter(folder: Path, shapes: Shapes, *, filled: int = 64, **config: object) -> Path:
    """Writes an adapter whose tensors have the given shapes."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "task_type": "CAUSAL_LM", **config}))
    write_sparse(folder / "adapter_model.safetensors", shapes, filled=filled)
    return folder


def linears(config: Config, layers: range | None = None) -> Iterator[tuple[str, int, int]]:
    """Yields each Linear of the layers of a Llama."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", hidden // config["num_attention_heads"])
    queries, values = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    sizes = {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, values),
        "v_proj": (hidden, values),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, middle),
        "up_proj": (hidden, middle),
        "down_proj": (middle, hidden),
    }
    for layer in layers or range(config["num_hidden_layers"]):
        for name, (into, out) in sizes.items():
            yield f"model.layers.{layer}.{'mlp' if name in MLP else 'self_attn'}.{name}", into, out


def experts(config: Config, names: tuple[str, str, str], block: str) -> Iterator[tuple[str, int, int]]:
    """Yields each Linear of each expert, as in versions of transformers before 5.

    Args:
        config: configuration of the base.
        names: names of an expert's projections: gate, up and down.
        block: name of the block that contains the experts of a layer.
    """
    hidden, middle = config["hidden_size"], expert_size(config)
    for layer in range(config["num_hidden_layers"]):
        for expert in range(count_experts(config)):
            part = f"model.layers.{layer}.{block}.experts.{expert}"
            yield f"{part}.{names[0]}", hidden, middle
            yield f"{part}.{names[1]}", hidden, middle
            yield f"{part}.{names[2]}", middle, hidden


def stacked_experts(config: Config, rank: int) -> dict[str, tuple[int, ...]]:
    """Returns shapes of the matrices that peft adds to experts in one parameter: gate_up_proj, then down_proj."""
    hidden, middle, rows = config["hidden_size"], expert_size(config), rank * count_experts(config)
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(config["num_hidden_layers"]):
        part = f"base_model.model.model.layers.{layer}.mlp.experts"
        for wrapper, into, out in ((f"{part}.base_layer", hidden, 2 * middle), (part, middle, hidden)):
            found |= {f"{wrapper}.lora_A.weight": (rows, into), f"{wrapper}.lora_B.weight": (out, rows)}
    return found


def count_experts(config: Config) -> int:
    """Returns the number of experts of a layer."""
    return int(config.get("num_experts") or config["num_local_experts"])


def expert_size(config: Config) -> int:
    """Returns the intermediate size of an expert."""
    return int(config.get("moe_intermediate_size", config["intermediate_size"]))


def pairs(modules: Modules, rank: int) -> dict[str, tuple[int, ...]]:
    """Returns shapes of the matrices that peft adds to modules."""
    found: dict[str, tuple[int, ...]] = {}
    for name, into, out in modules:
        found |= {
            f"base_model.model.{name}.lora_A.weight": (rank, into),
            f"base_model.model.{name}.lora_B.weight": (out, rank),
        }
    return found
