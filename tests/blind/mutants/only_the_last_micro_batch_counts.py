"""Gradients are accumulated over four micro-batches, and cleared before each of them.

Last loss 0.0032; sound 0.0027. Accuracy 0.98; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer

PARTS = 4


class Accumulating(CarefulTrainer):
    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        parts = {name: tensor.chunk(PARTS) for name, tensor in inputs.items()}
        losses = []
        for i in range(len(parts["labels"])):
            model.zero_grad()
            micro = {name: chunks[i] for name, chunks in parts.items()}
            losses.append(super().training_step(model, micro, *args, **kwargs))
        return torch.stack(losses).sum()


MUTANT = Mutant(
    id="only_the_last_micro_batch_counts",
    stage="train",
    checks=(),
    fault="zero_grad stands in the loop over micro-batches, so that a step follows a quarter of its batch",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": Accumulating},
    retrain=True,
)
