"""Inspects how a model computes in training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.reference.guards.names import plain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def dropout_in_eval_mode(model: torch.nn.Module) -> tuple[str, ...]:
    """Returns the names of dropout modules in evaluation mode."""
    return tuple(
        plain(name)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout) and module.p and not module.training
    )


def uses_reentrant_checkpoints(model: torch.nn.Module) -> bool:
    """Whether reentrant gradient checkpointing is on, which needs inputs that require gradients."""
    for module in model.modules():
        function: Any = getattr(module, "_gradient_checkpointing_func", None)
        if function is not None and getattr(module, "gradient_checkpointing", False):
            return bool(getattr(function, "keywords", {}).get("use_reentrant", True))
    return False


def ends_of(model: Any, tokenizer: PreTrainedTokenizerBase | None) -> frozenset[int]:  # noqa: ANN401
    """Returns the ids of tokens that stop generation."""
    found: list[Any] = [getattr(getattr(model, "generation_config", None), "eos_token_id", None)]
    found.append(getattr(tokenizer, "eos_token_id", None))
    flat = [one for each in found for one in (each if isinstance(each, Iterable) else [each])]
    return frozenset(one for one in flat if isinstance(one, int))
