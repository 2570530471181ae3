"""The learning rate is so small that the adapter stays where it was."""

from mutation import Mutant
from transformers import TrainingArguments


def crawling(**arguments: object) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "learning_rate": 1e-9})  # type: ignore[arg-type]


MUTANT = Mutant(
    id="rate",
    stage="train",
    checks=("TRN-004",),
    fault="a learning rate of 1e-9 moves every weight a little and the model not at all",
    source="our own; no known report",
    patches={"sft_ref.reference.training.TrainingArguments": crawling},
    retrain=True,
)
