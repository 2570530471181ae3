"""The hyperparameters of training."""

from dataclasses import dataclass

from sft_ref.reference.guards.ranges import check_ranges


@dataclass(frozen=True)
class Settings:
    """Hyperparameters: everything about a training except its data, base and policy.

    Attributes:
        steps: optimizer steps.
        batch_size: examples per optimizer step.
        learning_rate: peak learning rate, after a warm-up over a tenth of the steps; it decays linearly to 0.
        rank: rank of the LoRA matrices.
        alpha: LoRA's alpha, which is its scaling times its rank.
        seed: random seed of the initial adapter and of the order of the examples.

    Raises:
        TrainingError: a value is out of its range; see `guards.ranges.RANGES`.
    """

    steps: int = 150
    batch_size: int = 32
    learning_rate: float = 2e-3
    rank: int = 8
    alpha: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)
