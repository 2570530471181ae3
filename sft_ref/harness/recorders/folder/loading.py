"""Puts a base and an adapter's tensors into memory, once each, and measures what the loaded model computes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import TensorHeader
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES

from .expected import RefusedError, is_embedding, peft_refusals, put_adapter

if TYPE_CHECKING:
    from peft import PeftModel

_ROWS, _LENGTH = 2, 16
"""Size of the batch of random tokens that models are compared on."""


@dataclass(frozen=True)
class Values:
    """What the numbers of one tensor are like."""

    bad: int
    largest: float


def read_tensors(headers: Mapping[str, TensorHeader]) -> dict[str, torch.Tensor]:
    """Tensors by name, from all their files."""
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for path in dict.fromkeys(header.file for header in headers.values()):
        with safe_open(path, framework="pt") as file:
            found |= {name: file.get_tensor(name) for name, header in headers.items() if header.file == path}
    return found


def measure(tensors: Mapping[str, torch.Tensor]) -> dict[str, Values]:
    """How many numbers of each tensor are not finite, and the largest of the others."""
    found = {}
    for name, tensor in tensors.items():
        numbers = tensor.float()
        fine = numbers.isfinite()
        largest = numbers[fine].abs().max().item() if fine.any() else 0.0
        found[name] = Values(int((~fine).sum().item()), largest)
    return found


def load_base(folder: Path, rows: int) -> Any:  # noqa: ANN401
    """A base in fp32, in evaluation mode, with so many rows in its embedding.

    Raises:
        BaseModelError: the folder holds no causal language model in safetensors, or needs what is not installed.
    """
    model: Any = load_model(folder, POLICIES["fp32"])
    if model.get_input_embeddings().weight.shape[0] != rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.resize_token_embeddings(rows, mean_resizing=False)
    return model.eval()


def attach(model: Any, tensors: Mapping[str, torch.Tensor], config: AdapterConfig) -> PeftModel:  # noqa: ANN401
    """The base with the adapter, loaded by peft as `PeftModel.from_pretrained` does, in fp32 and evaluation mode.

    Raises:
        RefusedError: peft does not load it.
    """
    from peft import set_peft_model_state_dict

    peft_model = put_adapter(model, config)
    with peft_refusals():
        result: Any = set_peft_model_state_dict(peft_model, dict(tensors))
    if result.unexpected_keys:
        raise RefusedError(f"{len(result.unexpected_keys)} tensors have no place, {result.unexpected_keys[0]} first")
    peft_model.float().eval()
    return peft_model


def choose_tokens(model: Any, tensors: Mapping[str, torch.Tensor], config: AdapterConfig) -> torch.Tensor:  # noqa: ANN401
    """Random ids, and in the last row those whose embedding the adapter changes, if it changes some: (rows, length)."""
    generator = torch.Generator().manual_seed(0)
    weight = model.get_input_embeddings().weight
    ids = torch.randint(0, weight.shape[0], (_ROWS, _LENGTH), generator=generator)
    indices = config.options.get("trainable_token_indices", [])
    several = indices.values() if isinstance(indices, dict) else [indices]
    changed = [index for each in several for index in each]
    for name, tensor in tensors.items():
        if name.endswith(".lora_embedding_A"):
            changed += tensor.float().abs().sum(dim=0).nonzero().flatten().tolist()
        elif is_embedding(name) and tensor.shape == weight.shape:
            changed += (tensor.float() - weight).abs().sum(dim=1).nonzero().flatten().tolist()
    few = torch.tensor([index for index in dict.fromkeys(changed) if index < weight.shape[0]][:_LENGTH])
    if len(few):
        ids[-1, : len(few)] = few
    return ids


def logits_of(model: Any, ids: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """Logits of a batch without padding, in fp32: (rows, length, vocabulary)."""
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    logits: torch.Tensor = output.logits.float()
    return logits


@dataclass
class Outputs:
    """Outputs of modules in one forward, by name in the base, in the order in which they ended."""

    found: dict[str, torch.Tensor] = field(default_factory=dict)


@contextlib.contextmanager
def watching(model: Any, modules: Mapping[str, str]) -> Iterator[Outputs]:  # noqa: ANN401
    """Keeps what modules give, while a model runs.

    Args:
        model: that runs.
        modules: name in the base -> name in this model.
    """
    outputs = Outputs()

    def keep(name: str) -> Any:  # noqa: ANN401
        def hook(_module: Any, _inputs: Any, output: Any) -> None:  # noqa: ANN401
            first = output[0] if isinstance(output, tuple) else output
            outputs.found[name] = first.detach().float()

        return hook

    handles = [model.get_submodule(there).register_forward_hook(keep(name)) for name, there in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
