"""Activations are recomputed by the reentrant way, whose inputs need no gradient, once that is asked for."""

from mutation import Mutant
from transformers import TrainingArguments


def reentrant(**arguments: object) -> TrainingArguments:
    return TrainingArguments(**arguments, gradient_checkpointing_kwargs={"use_reentrant": True})  # type: ignore[arg-type]


MUTANT = Mutant(
    id="A14-asked",
    stage="train",
    checks=("TRN-006",),
    fault="with gradient checkpointing no gradient reaches the adapter; without it all is well",
    source="open-unlearning#178",
    patches={
        "sft_ref.reference.training.TrainingArguments": reentrant,
        "transformers.PreTrainedModel.enable_input_require_grads": lambda model: None,
    },
)
