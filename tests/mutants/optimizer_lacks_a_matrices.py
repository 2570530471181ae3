"""The optimizer gets the B matrices alone, although the A matrices require gradients."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Lacking(CarefulTrainer):
    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        optimizer = super().create_optimizer(*args, **kwargs)
        model: Any = self.model
        names = {id(tensor): name for name, tensor in model.named_parameters()}
        for group in optimizer.param_groups:
            group["params"] = [tensor for tensor in group["params"] if "lora_A" not in names[id(tensor)]]
        return optimizer


MUTANT = Mutant(
    id="no-optimizer",
    stage="train",
    checks=("TRN-016",),
    fault="the A matrices are trainable, and no optimizer has them",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Lacking},
    retrain=True,
)
