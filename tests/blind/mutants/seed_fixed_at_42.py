"""The seed of the settings is not passed on: every training has the seed 42.

Trainings with the seeds 1 and 2 end with the same bits. Accuracy 0.97; sound 0.97.
"""

from typing import Any

import transformers
from mutation import Mutant
from transformers import TrainingArguments

set_seed = transformers.set_seed


def seeded(_seed: int) -> None:
    set_seed(42)


def arguments(**usual: Any) -> TrainingArguments:
    return TrainingArguments(**usual | {"seed": 42})


MUTANT = Mutant(
    id="seed_fixed_at_42",
    stage="train",
    checks=(),
    fault="trainings with other seeds have the same start and the same order of examples",
    source="no report",
    patches={
        "sft_ref.reference.sft.transformers.set_seed": seeded,
        "sft_ref.reference.training.TrainingArguments": arguments,
    },
    retrain=True,
)
