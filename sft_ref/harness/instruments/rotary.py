"""Recomputes rotary embeddings in fp32 from a model's configuration, and reads those that the model computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable


def embeddings(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yields modules with rotary frequencies, by name."""
    for name, module in model.named_modules():
        if isinstance(getattr(module, "inv_freq", None), torch.Tensor):
            yield name, module


def frequencies(config: Any) -> torch.Tensor:  # noqa: ANN401  # a PreTrainedConfig
    """Computes the inverse frequencies of plain rotary embeddings, in fp32.

    Raises:
        Unavailable: the model scales its rotary frequencies, or has none.
    """
    # transformers 5 moved rope_theta into rope_parameters
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    theta = parameters.get("rope_theta") or getattr(config, "rope_theta", None)
    if theta is None or parameters.get("rope_type", "default") != "default":
        raise Unavailable("the base has no plain rotary embeddings")
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    exponents = torch.arange(0, size, 2, dtype=torch.float32) / size
    return torch.pow(torch.tensor(float(theta)), exponents).reciprocal()


def angles(module: Any, last: int) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    """Returns the cosine and sine that a module computes for the last position, each of shape (head size,), in fp32."""
    device = module.inv_freq.device
    with torch.no_grad():
        cos, sin = module(torch.zeros(1, 1, 1, device=device), torch.tensor([[last]], device=device))
    return cos.flatten().float().cpu(), sin.flatten().float().cpu()
