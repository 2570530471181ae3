"""What training does, apart from its data, base and policy."""

from dataclasses import dataclass

from sft_ref.reference.guards.ranges import check_ranges


@dataclass(frozen=True)
class Settings:
    """Hyperparameters.

    Attributes:
        steps: optimizer steps.
        batch_size: examples a step.
        learning_rate: its peak, after a warm-up over a tenth of the steps; it falls to 0 in a straight line.
        rank: of the LoRA matrices.
        alpha: LoRA's scale times its rank.
        seed: of the blank adapter and of the order of the examples.

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
