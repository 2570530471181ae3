"""Temporarily changes a loaded adapter's addition: its scaling factor, or the order of its coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Factors:
    """The configured factors on B @ A of all LoRA layers of a model.

    Args:
        model: PeftModel with one active adapter.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401  # a PeftModel
        from peft.tuners.lora import LoraLayer

        self.name = str(model.active_adapter)
        self.uses_rslora = bool(model.peft_config[self.name].use_rslora)
        self.layers: list[Any] = [
            layer for layer in model.modules() if isinstance(layer, LoraLayer) and self.name in layer.scaling
        ]
        self.configured = [float(layer.scaling[self.name]) for layer in self.layers]
        self._ranks = [int(layer.r[self.name]) for layer in self.layers]

    @property
    def flag(self) -> list[float]:
        """Multiple of each layer's factor that the other setting of use_rslora implies."""
        return [rank ** (-0.5 if self.uses_rslora else 0.5) for rank in self._ranks]

    def describe(self, factors: list[float]) -> str:
        """Formats the factors that result from multiplying the configured ones."""
        values = sorted({round(a * b, 4) for a, b in zip(self.configured, factors, strict=True)})
        return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"

    @contextmanager
    def multiplied(self, factors: list[float]) -> Iterator[None]:
        """Multiplies each layer's configured factor within the block."""
        try:
            for layer, configured, factor in zip(self.layers, self.configured, factors, strict=True):
                layer.scaling[self.name] = configured * factor
            yield
        finally:
            for layer, configured in zip(self.layers, self.configured, strict=True):
                layer.scaling[self.name] = configured

    @contextmanager
    def shuffled(self, seed: int) -> Iterator[None]:
        """Permutes inputs of A and outputs of B, and negates half of them, in each layer within the block.

        The addition keeps its size, rank and singular values, and loses its relation to the base's coordinates. It
        corresponds to an adapter on a base model that represents the same knowledge in other coordinates.
        """
        generator = torch.Generator().manual_seed(seed)
        changed: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
        try:
            for layer in self.layers:
                if self.name not in layer.lora_A:
                    continue  # the layer of an embedding
                for linear, dim in ((layer.lora_A[self.name], 1), (layer.lora_B[self.name], 0)):
                    weight = linear.weight
                    size = weight.shape[dim]
                    order = torch.randperm(size, generator=generator).to(weight.device)
                    signs = (torch.randint(0, 2, (size,), generator=generator) * 2 - 1).to(weight)
                    changed.append((weight, weight.data))
                    weight.data = weight.data.index_select(dim, order) * (signs if dim else signs[:, None])
            yield
        finally:
            for weight, data in reversed(changed):
                weight.data = data

    @property
    def can_be_shuffled(self) -> bool:
        """Whether any layer has an A and a B that are matrices of a Linear."""
        return any(self.name in layer.lora_A for layer in self.layers)
