"""What is saved is the adapter of step 10, not the last one. Accuracy 0.00; sound 1.00.

Changed after the first run on the checks: trainings of fewer than ten steps saved tensors of the training before, of
another rank, and ended in an exception. TRN-001 then failed before the fault of this file could show.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.adapter import save_adapter
from sft_ref.reference.guards.trainer import CarefulTrainer

EARLY: dict[str, Any] = {}


class Keep(TrainerCallback):
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == 10:
            tensors = get_peft_model_state_dict(kwargs["model"], save_embedding_layers=False)
            EARLY.update({name: tensor.detach().clone() for name, tensor in tensors.items()})


def keeping(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, Keep()], **kwargs)


def save_early(model: Any, base: str, folder: Path) -> None:
    if EARLY:
        set_peft_model_state_dict(model, EARLY)
    save_adapter(model, base, folder)
    EARLY.clear()


MUTANT = Mutant(
    id="saved_from_the_wrong_step",
    stage="artifact",
    checks=(),
    fault="the adapter of step 10 is saved in place of the last one",
    source="no report",
    patches={
        "sft_ref.reference.training.CarefulTrainer": keeping,
        "sft_ref.reference.adapter.save_adapter": save_early,
    },
    retrain=True,
)
