"""Autocast is lost in the middle of training."""

import contextlib
from typing import Any

from accelerate.utils import extract_model_from_parallel
from mutation import Mutant

from sft_ref.reference.guards.progress import History
from sft_ref.reference.precision import POLICIES


class Unwrapping(History):
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 40:
            extract_model_from_parallel(kwargs["model"], keep_fp32_wrapper=False)


MUTANT = Mutant(
    id="autocast-lost",
    stage="train",
    checks=("TRN-021",),
    fault="the model is unwrapped for an evaluation in the middle of training, and autocast is lost",
    source="our own; no known report",
    patches={
        "sft_ref.reference.training.History": Unwrapping,
        "sft_ref.reference.training.frozen_weights_cast": lambda *_: contextlib.nullcontext(),
        "sft_ref.reference.sft.default_policy": lambda device: POLICIES["bf16-mixed"],
    },
    retrain=True,
)
