"""One autocast context around the whole training: its cache of casts keeps the adapter as it was at the first step.

Last loss 3.0255; sound 0.0027. Accuracy 0.12; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer
from sft_ref.reference.precision import POLICIES, Policy


class InOneContext(CarefulTrainer):
    def train(self, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(self.args.device.type, dtype=torch.bfloat16):
            return super().train(*args, **kwargs)


def mixed(_device: torch.device) -> Policy:
    return POLICIES["bf16-mixed"]


MUTANT = Mutant(
    id="autocast_cache_outlives_the_step",
    stage="train",
    checks=(),
    fault="every step computes with autocast's cached casts of the untrained adapter",
    source="no report",
    patches={
        "sft_ref.reference.training.CarefulTrainer": InOneContext,
        "sft_ref.reference.sft.default_policy": mixed,
    },
    retrain=True,
)
