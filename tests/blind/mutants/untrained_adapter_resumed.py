"""A resumed training restores the optimizer and the schedule, but not the adapter, which starts anew.

Accuracy 1.00; sound 1.00, as the tool does not interrupt the training. Resumed after step 20, it has a loss of
3.54 at step 21; sound 0.013.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Forgetful(CarefulTrainer):
    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        """Loads nothing."""


MUTANT = Mutant(
    id="untrained_adapter_resumed",
    stage="train",
    checks=(),
    fault="a training that resumes from a checkpoint goes on with an untrained adapter",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": Forgetful},
    retrain=True,
)
