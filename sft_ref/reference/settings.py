"""What training does, apart from its data, base and policy."""

from dataclasses import dataclass

from sft_ref.console.ranges import Range, Real, Whole
from sft_ref.errors import TrainingError

RANGES: dict[str, Range] = {
    "steps": Whole(1, 1_000_000),
    "batch_size": Whole(1, 65_536),
    "learning_rate": Real(1000),
    "rank": Whole(1, 1024),
    "alpha": Whole(1, 1_000_000),
    "seed": Whole(0, 2**32 - 1),
}
"""What each setting may be."""


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
        TrainingError: a value is out of its range; see `RANGES`.
    """

    steps: int = 150
    batch_size: int = 32
    learning_rate: float = 2e-3
    rank: int = 8
    alpha: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise TrainingError(f"{name} is {str(value)[:80]}; give {allowed}")
