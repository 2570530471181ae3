"""Measures the size of an artifact, projected onto the model that it is meant for."""

from __future__ import annotations

import math
import re
from pathlib import Path

from sft_ref.harness.core.sizes import Size
from sft_ref.io.base_config import empty_model, read_config
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import BITS, Shape, read_header
from sft_ref.reference.bases.find import find_base

KNOWN = {
    "smollm2-135m": (576, 1536, 30, 9, 3),
    "HuggingFaceTB/SmolLM2-360M-Instruct": (960, 2560, 32, 15, 5),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": (2048, 8192, 24, 32, 32),
}
"""Models of known size that need not be present locally: hidden and intermediate size, layers, attention heads, and
key-value heads. Each is a Llama with tied embeddings of 49,152 tokens."""

_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")

_MATRIX = 2
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_LAYER = re.compile(r"\.layers\.(\d+)\.")


def base_shapes(name: str) -> tuple[dict[str, Shape], int, int]:
    """Returns a base model's weight shapes by name, its number of layers and of parameters, without loading weights."""
    from transformers import AutoConfig

    if name in KNOWN:
        sizes = dict(zip(_SIZES, KNOWN[name], strict=True))
        folder, config = Path(name), AutoConfig.for_model("llama", vocab_size=49152, tie_word_embeddings=True, **sizes)
    else:
        folder = find_base(name)
        config = read_config(folder)
    model = empty_model(config, folder)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.named_parameters(remove_duplicate=False)}
    return shapes, config.num_hidden_layers, sum(tensor.numel() for tensor in model.parameters())


def project(folder: Path, base: str, named: str) -> Size:
    """Computes the size that a folder, created with base model `base`, would have for the model `named`.

    A LoRA matrix keeps its rank and takes the other dimension from the named model. Any other tensor takes the shape of
    the tensor of the same name. Layer tensors are multiplied by the ratio of the layer counts. Other files keep their
    size. Trainer's checkpoints are ignored, since they are intermediate files that are not submitted.
    """
    own, own_layers, _ = base_shapes(base)
    there, layers, parameters = base_shapes(named)
    adapter = bundle = count = 0
    for path in folder.rglob("*"):
        if not path.is_file() or any(map(_CHECKPOINT.fullmatch, path.relative_to(folder).parts)):
            continue
        try:
            headers = read_header(path) if path.suffix == ".safetensors" else None
        except UnreadableError:
            headers = None
        if headers is None:
            bundle += path.stat().st_size
            continue
        for name, header in headers.items():
            repeated = layers / own_layers if _LAYER.search(name) else 1
            numbers = round(math.prod(_projected(name, header.shape, own, there)) * repeated)
            size = numbers * BITS.get(header.dtype, 8) // 8
            bundle += size
            if path.parent == folder and path.name.startswith("adapter"):
                adapter += size
                count += numbers
    return Size(adapter, bundle, parameters + count)


def _projected(name: str, shape: Shape, own: dict[str, Shape], there: dict[str, Shape]) -> Shape:
    for weight, here in own.items():
        if f"{weight.removesuffix('.weight')}." in name:
            far = there.get(_LAYER.sub(".layers.0.", weight), here)
            if ".lora_A." in name and len(shape) == len(far) == _MATRIX:
                return (shape[0], far[1])
            if ".lora_B." in name:
                return (far[0], *shape[1:])
            return far[: len(shape)]  # DoRA has one value for each row
    return shape
