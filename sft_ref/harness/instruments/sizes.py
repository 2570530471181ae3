"""How large an artifact is on the model that it is meant for, and the limits that a course sets.

Sizes are measurements. They are held against nobody unless a limit is given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sft_ref.errors import AdapterError, SftRefError
from sft_ref.io import tensor_headers
from sft_ref.io.base_config import empty_model, read_config
from sft_ref.io.reading import UnreadableError, shortened
from sft_ref.reference.bases.find import find_base


@dataclass(frozen=True)
class SizeLimits:
    """What is allowed; None is no limit.

    Attributes:
        adapter: bytes of the adapter's tensors.
        bundle: bytes of all files of its folder.
        parameters: of the model with its adapter.
    """

    adapter: int | None = None
    bundle: int | None = None
    parameters: int | None = None

    def __bool__(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """As `--limit` takes them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return tuple(f"{name}={value}" for name, value in values.items() if value is not None)


UNLIMITED = SizeLimits()
COURSE = SizeLimits(adapter=20_000_000, bundle=50_000_000, parameters=380_000_000)
"""The rubric of the course that the story comes from: `--profile course`."""

_LONGEST = 40
"""Characters of a size."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


def read_limits(words: Iterable[str], limits: SizeLimits = UNLIMITED) -> SizeLimits:
    """Limits with what is written as ``adapter=20MB`` or ``parameters=380M`` put in their place.

    Raises:
        SftRefError: a word is none of these.
    """
    names = [each.name for each in fields(SizeLimits)]
    for word in words:
        name, _, size = word.partition("=")
        found = _NUMBER.fullmatch(size.strip())
        if name.strip() not in names or not found or len(size) > _LONGEST:
            raise SftRefError(
                f"--limit {shortened(word)}: write {', '.join(names)}, an equals sign and a size, as adapter=20MB"
            )
        number, prefix, binary = found.groups()
        factor = (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " ")
        limits = replace(limits, **{name.strip(): round(float(number) * factor)})
    return limits


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

_MATRIX = 2
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_LAYER = re.compile(r"\.layers\.(\d+)\.")
_BITS = re.compile(r"\d+$")


@dataclass(frozen=True)
class Size:
    """Bytes of the adapter, bytes of all files, and parameters of model and adapter, on the named model."""

    adapter: int
    bundle: int
    parameters: int

    def __str__(self) -> str:
        return (
            f"adapter {self.adapter / 1e6:.3g} MB, all files {self.bundle / 1e6:.3g} MB, "
            f"{self.parameters / 1e6:.4g} million parameters with the adapter"
        )

    def excess(self, limits: SizeLimits, *names: str) -> tuple[str, str] | None:
        """The first limit that is exceeded: what was measured, and what is allowed.

        Args:
            limits: what is allowed.
            names: of the limits to look at; all where none is named.
        """
        for name, unit in _UNITS.items():
            found, allowed = getattr(self, name), getattr(limits, name)
            if (not names or name in names) and allowed is not None and found > allowed:
                return f"{found:,} {unit}", f"{allowed:,}"
        return None


_UNITS = {"adapter": "bytes of adapter", "bundle": "bytes in all", "parameters": "parameters"}
Shape = tuple[int, ...]


def base_shapes(name: str) -> tuple[dict[str, Shape], int, int]:
    """Shape of each weight of a base by name, the number of its layers and of its parameters; no weight is loaded."""
    from transformers import AutoConfig

    folder = Path(name) if name in KNOWN else find_base(name)
    config = AutoConfig.for_model(**KNOWN[name]) if name in KNOWN else read_config(folder)
    model = empty_model(config, folder)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.named_parameters(remove_duplicate=False)}
    return shapes, config.num_hidden_layers, sum(tensor.numel() for tensor in model.parameters())


def read_header(path: Path) -> dict[str, tuple[str, Shape]]:
    """Dtype and shape of each tensor of a safetensors file, by name; no tensor is read.

    Raises:
        AdapterError: it is no safetensors file.
    """
    try:
        return {name: (each.dtype, each.shape) for name, each in tensor_headers.read_header(path).items()}
    except UnreadableError as error:
        raise AdapterError(f"{path.name}: is no safetensors file that can be read ({error})") from error


def project(folder: Path, base: str, named: str) -> Size:
    """The size that a folder, made with `base`, has for the model `named`.

    A matrix of a LoRA pair keeps its rank and takes the other side from the named model; any other tensor takes the
    shape of its namesake; each stands for as many as the named model has layers more. Other files keep their size;
    Trainer's checkpoints are left out, since they are made on the way and not handed in.
    """
    own, own_layers, _ = base_shapes(base)
    there, layers, parameters = base_shapes(named)
    adapter = bundle = count = 0
    for path in folder.rglob("*"):
        if not path.is_file() or any(map(_CHECKPOINT.fullmatch, path.relative_to(folder).parts)):
            continue
        try:
            header = read_header(path) if path.suffix == ".safetensors" else None
        except AdapterError:
            header = None
        if header is None:
            bundle += path.stat().st_size
            continue
        for name, (dtype, shape) in header.items():
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
            if ".lora_A." in name and len(shape) == len(far) == _MATRIX:
                return (shape[0], far[1])
            if ".lora_B." in name:
                return (far[0], *shape[1:])
            return far[: len(shape)]  # DoRA has a number for each row
    return shape
