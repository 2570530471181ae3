"""The adapter is written to the default folder, below wherever the program was started."""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference import sft

train = sft.train


def to_default(_output_dir: Path, **kwargs: Any) -> Any:
    return train(sft.DEFAULT_OUTPUT, **kwargs)


MUTANT = Mutant(
    id="S9",
    stage="train",
    checks=("TRN-001", "TRN-008"),
    fault="output_dir is ignored, and the adapter lies below the working directory",
    source="course submission",
    patches={"sft_ref.reference.sft.train": to_default},
)
