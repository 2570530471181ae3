"""How large an artifact would be on the model that it is meant for: a toy in its place hides that."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_ref.models import find_base

ADAPTER_BYTES = 20_000_000
BUNDLE_BYTES = 50_000_000
PARAMETERS = 380_000_000
"""The course's rubric: adapter, all that is handed in, and the model with its adapter."""

_LLAMA = {"model_type": "llama", "vocab_size": 49152, "tie_word_embeddings": True}
KNOWN: dict[str, dict[str, Any]] = {
    "smollm2-135m": _LLAMA
    | {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "HuggingFaceTB/SmolLM2-360M-Instruct": _LLAMA
    | {
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
    },
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": _LLAMA
    | {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}
"""Shapes of models that need not be at hand to be known."""

_LAYER = re.compile(r"\.layers\.(\d+)\.")
_BITS = re.compile(r"\d+$")


@dataclass(frozen=True)
class Size:
    """Bytes of the adapter, bytes of all files, and parameters of model and adapter, on the named model."""

    adapter: int
    bundle: int
    parameters: int


Shape = tuple[int, ...]


def base_shapes(name: str) -> tuple[dict[str, Shape], int, int]:
    """Shape of each weight of a base by name, the number of its layers and of its parameters; no weight is loaded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**KNOWN[name]) if name in KNOWN else AutoConfig.from_pretrained(find_base(name))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        model.tie_weights()
    shapes = {key: tuple(tensor.shape) for key, tensor in model.named_parameters(remove_duplicate=False)}
    return shapes, config.num_hidden_layers, sum(tensor.numel() for tensor in model.parameters())


def read_header(path: Path) -> dict[str, tuple[str, Shape]]:
    """Dtype and shape of each tensor of a safetensors file, by name."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: (about["dtype"], tuple(about["shape"])) for name, about in header.items() if name != "__metadata__"}


def project(folder: Path, base: str, named: str) -> Size:
    """The size that a folder, made with `base`, has for the model `named`.

    A matrix of a LoRA pair keeps its rank and takes the other side from the named model; any other tensor takes the
    shape of its namesake; each stands for as many as the named model has layers more. Other files keep their size.
    """
    own, own_layers, _ = base_shapes(base)
    there, layers, parameters = base_shapes(named)
    adapter = bundle = count = 0
    for path in (path for path in folder.rglob("*") if path.is_file()):
        if path.suffix != ".safetensors":
            bundle += path.stat().st_size
            continue
        for name, (dtype, shape) in read_header(path).items():
            repeated = layers / own_layers if _LAYER.search(name) else 1
            numbers = round(math.prod(_projected(name, shape, own, there)) * repeated)
            bits = _BITS.search(dtype)
            size = numbers * int(bits.group() if bits else 8) // 8
            bundle += size
            if path.parent == folder and path.name.startswith("adapter"):
                adapter += size
                count += numbers
    return Size(adapter, bundle, parameters + count)


def _projected(name: str, shape: Shape, own: dict[str, Shape], there: dict[str, Shape]) -> Shape:
    for weight, here in own.items():
        if f"{weight.removesuffix('.weight')}." in name:
            far = there.get(_LAYER.sub(".layers.0.", weight), here)
            if ".lora_A." in name:
                return (shape[0], far[1])
            if ".lora_B." in name:
                return (far[0], shape[1])
            return far[: len(shape)]  # DoRA has a number for each row
    return shape
