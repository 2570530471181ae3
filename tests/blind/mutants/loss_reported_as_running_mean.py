"""The reported loss of a step is the mean of all losses until then.

Last reported loss 0.456; sound 0.003. The adapter is the same.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Averaging(CarefulTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.losses: list[float] = []

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])
            logs["loss"] = sum(self.losses) / len(self.losses)
        super().log(logs, *args, **kwargs)


MUTANT = Mutant(
    id="loss_reported_as_running_mean",
    stage="train",
    checks=(),
    fault="a step's reported loss is the mean over all steps until then",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": Averaging},
    retrain=True,
)
