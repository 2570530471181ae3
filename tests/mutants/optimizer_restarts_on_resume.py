"""A resumed training begins with a new optimizer and a new schedule."""

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Forgetting(CarefulTrainer):
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        pass


MUTANT = Mutant(
    id="restart",
    stage="train",
    checks=("TRN-026",),
    fault="the optimizer is restarted on resume",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Forgetting},
)
