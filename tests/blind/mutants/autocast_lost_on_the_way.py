"""Mixed precision until step 20, fp32 after it: a callback unwraps the model, and autocast with it.

The head puts out bf16 for 20 steps, then fp32. Accuracy 1.00; sound 1.00.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from mutation import Mutant
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.guards.trainer import CarefulTrainer
from sft_ref.reference.precision import POLICIES, Policy


class Unwrap(TrainerCallback):
    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 20:
            extract_model_from_parallel(kwargs["model"], keep_fp32_wrapper=False)


def broken(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, Unwrap()], **kwargs)


@contextlib.contextmanager
def nothing_cast(_model: torch.nn.Module, _compute: str | None) -> Iterator[None]:
    yield


def mixed(_device: torch.device) -> Policy:
    return POLICIES["bf16-mixed"]


MUTANT = Mutant(
    id="autocast_lost_on_the_way",
    stage="train",
    checks=(),
    fault="autocast ends after 20 steps, and the record names bf16-mixed for the whole training",
    source="no report",
    patches={
        "sft_ref.reference.training.CarefulTrainer": broken,
        "sft_ref.reference.training.frozen_weights_cast": nothing_cast,
        "sft_ref.reference.sft.default_policy": mixed,
    },
    retrain=True,
)
