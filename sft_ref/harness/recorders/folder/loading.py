"""Loads a base model and an adapter, and measures the outputs of the loaded model.

The base is loaded a second time, without the adapter, only if logits in a 16-bit dtype are not finite.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.core import tolerance
from sft_ref.harness.evidence.adapter import is_embedding
from sft_ref.harness.instruments.steps.output_hooks import hook_outputs
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES, Policy

from .expected import RefusedError, peft_refusals, put_adapter, token_indices

if TYPE_CHECKING:
    from peft import PeftModel

_ROWS, _LENGTH = 2, 16
"""Rows and tokens per row of the random batch on which models are compared."""


def load_base(folder: Path, rows: int, policy: Policy = POLICIES["fp32"]) -> Any:  # noqa: ANN401
    """Loads a base model in evaluation mode with a dtype policy and the given number of embedding rows.

    Raises:
        BaseModelError: the folder holds no causal language model in safetensors, or needs a missing package.
    """
    model: Any = load_model(folder, policy)
    if model.get_input_embeddings().weight.shape[0] != rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.resize_token_embeddings(rows, mean_resizing=False)
    return model.eval()


def attach(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    dtype: torch.dtype = torch.float32,
) -> PeftModel:
    """Loads the adapter onto the base with peft, as `PeftModel.from_pretrained` does, in one dtype and evaluation mode.

    Raises:
        RefusedError: peft does not load the adapter.
    """
    from peft import set_peft_model_state_dict

    peft_model = put_adapter(model, config)
    with peft_refusals():
        result: Any = set_peft_model_state_dict(peft_model, dict(tensors))
    if result.unexpected_keys:
        raise RefusedError(
            f"{len(result.unexpected_keys)} tensors have no place in the model, first {result.unexpected_keys[0]}"
        )
    peft_model.to(dtype).eval()
    return peft_model


def choose_tokens(model: Any, tensors: Mapping[str, torch.Tensor], config: AdapterConfig) -> torch.Tensor:  # noqa: ANN401
    """Returns random ids, with tokens whose embedding the adapter changes, if any, in the last row: (rows, length)."""
    generator = torch.Generator().manual_seed(0)
    weight = model.get_input_embeddings().weight
    ids = torch.randint(0, weight.shape[0], (_ROWS, _LENGTH), generator=generator)
    changed = token_indices(config)
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
    """Returns the logits of a batch without padding, in fp32: (rows, length, vocabulary)."""
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    logits: torch.Tensor = output.logits.float()
    return logits


@dataclass(frozen=True)
class Run:
    """Logits of one forward pass, and module outputs by the modules' names in the base model, in order of execution."""

    logits: torch.Tensor
    outputs: Mapping[str, torch.Tensor]


def run_model(model: Any, ids: torch.Tensor, modules: Mapping[str, str]) -> Run:  # noqa: ANN401
    """Runs a model once and keeps the outputs of some modules.

    Args:
        model: model to run.
        ids: token ids, (rows, length).
        modules: name in the base model -> name in this model.
    """
    outputs: dict[str, torch.Tensor] = {}
    watched = [(name, model.get_submodule(there)) for name, there in modules.items()]
    with hook_outputs(watched, lambda name, output: outputs.update({name: output.float()})):
        return Run(logits_of(model, ids), outputs)


def first_difference(one: Run, other: Run) -> str:
    """Returns the first module whose outputs differ by more than rounding; empty if none does."""
    for name, output in one.outputs.items():
        if name in other.outputs:
            difference = largest_difference(output, other.outputs[name])
            if difference > tolerance.logits("float32", output):
                return name
    return ""


def largest_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Returns the largest absolute difference; infinite if a difference is NaN."""
    difference = (one - other).abs().max().item()
    return math.inf if math.isnan(difference) else difference


def is_finite(logits: torch.Tensor) -> bool:
    """Returns whether no logit is NaN or infinite."""
    return bool(logits.isfinite().all())


def is_finite_in(model: Any, dtype: str, ids: torch.Tensor, base: Path) -> bool:  # noqa: ANN401
    """Returns whether logits are finite in a 16-bit dtype; True if the base alone fails too, without the adapter."""
    if is_finite(logits_of(model.to(getattr(torch, dtype)), ids)):
        return True
    alone = load_base(base, model.get_input_embeddings().weight.shape[0])
    return not is_finite(logits_of(alone.to(getattr(torch, dtype)), ids))
