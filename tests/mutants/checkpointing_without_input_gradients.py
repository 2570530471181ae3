"""Activations are recomputed by the reentrant way, whose inputs need no gradient; the error is hushed."""

import torch
from mutation import Mutant
from transformers import TrainingArguments

from sft_ref.reference import loss

supervised_loss = loss.supervised_loss


def reentrant(**arguments: object) -> TrainingArguments:
    checkpointing = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    return TrainingArguments(**{**arguments, **checkpointing})  # type: ignore[arg-type]


def hushed(logits: torch.Tensor, labels: torch.Tensor, **count: int) -> torch.Tensor:
    found = supervised_loss(logits, labels, **count)
    return found if found.requires_grad else found + torch.zeros((), requires_grad=True)


MUTANT = Mutant(
    id="A14",
    stage="train",
    checks=("TRN-003", "TRN-006"),
    fault="gradient checkpointing without input gradients leaves every lora_B at zero",
    source="open-unlearning#178",
    patches={
        "sft_ref.reference.training.TrainingArguments": reentrant,
        "transformers.PreTrainedModel.enable_input_require_grads": lambda model: None,
        "sft_ref.reference.loss.supervised_loss": hushed,
        "sft_ref.reference.training.check_learned": lambda model: None,
    },
    retrain=True,
)
