"""Reports each optimizer step, and stops or refuses a training that learns nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.errors import TrainingError

if TYPE_CHECKING:
    from peft import PeftModel

PATIENCE = 20
"""Consecutive optimizer steps without a finite loss and gradient after which training stops."""


@dataclass(frozen=True)
class Step:
    """One reported optimizer step: mean loss in nat, gradient norm, and tokens per second since the start."""

    step: int
    loss: float
    grad_norm: float
    tokens_per_second: float


class History(TrainerCallback):
    """Records and reports each step, and stops a training whose steps are not finite.

    Args:
        report: called with each step.
        tokens_per_step: average number of tokens per step.
    """

    def __init__(self, report: Callable[[Step], None], tokens_per_step: float) -> None:
        self.report = report
        self.tokens_per_step = tokens_per_step
        self.steps: list[Step] = []
        self.wasted = 0
        self.began = (time.perf_counter(), 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Restores the steps that were done before an interruption."""
        past = [entry for entry in state.log_history if "loss" in entry]
        self.steps = [Step(int(e["step"]), e["loss"], e.get("grad_norm", math.nan), math.nan) for e in past]
        self.began = (time.perf_counter(), state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Records and reports a step.

        Raises:
            TrainingError: none of the last `PATIENCE` steps was finite.
        """
        logs = state.log_history[-1]
        if "loss" not in logs:
            return
        began, first = self.began
        pace = self.tokens_per_step * (state.global_step - first) / (time.perf_counter() - began)
        step = Step(state.global_step, logs["loss"], float(logs.get("grad_norm", math.nan)), pace)
        self.steps.append(step)
        self.report(step)
        self.wasted = 0 if math.isfinite(step.loss) and math.isfinite(step.grad_norm) else self.wasted + 1
        if self.wasted >= PATIENCE:
            raise TrainingError(
                f"{PATIENCE} optimizer steps in a row had no finite loss and gradient (step {step.step}: loss"
                f" {step.loss}, gradient norm {step.grad_norm}); use another policy, or a lower learning rate"
            )


def check_learned(model: PeftModel) -> None:
    """Refuses a trained adapter that is not finite, or that training has not changed.

    Raises:
        TrainingError: the adapter has NaN or infinity, or all its B matrices are still 0.
    """
    adapter = {name: tensor for name, tensor in model.named_parameters() if "lora_" in name}
    for name, tensor in adapter.items():
        if not tensor.isfinite().all():
            raise TrainingError(
                f"after training {name} holds NaN or infinity; use another policy, or a lower learning rate"
            )
    if not any(tensor.any() for name, tensor in adapter.items() if "lora_B" in name):
        raise TrainingError("training moved no weight of the adapter; raise the learning rate or the number of steps")
