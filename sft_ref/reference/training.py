"""The training loop: transformers' Trainer on supervised tokens only, watched, interruptible, and able to go on.

Knows nothing of how an adapter is saved or what its answers are worth.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.errors import TrainingError
from sft_ref.io.checkpoint import check_checkpoint, is_cut_off, reading_checkpoint

from . import tokens
from .autocast import frozen_weights_cast, isolated, matmul_mode
from .loss import batch_loss
from .precision import Policy
from .settings import Settings
from .tokens import Example

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

PATIENCE = 20
"""Optimizer steps without a finite loss and gradient after which training is given up."""

_ACCELERATE = "ACCELERATE_MIXED_PRECISION"

CHECKPOINT_EVERY = 20
"""Optimizer steps between checkpoints; one of a small adapter is written in milliseconds."""


@dataclass(frozen=True)
class Step:
    """One optimizer step, as reported while training: mean loss in nat, gradient norm, and the pace since the start."""

    step: int
    loss: float
    grad_norm: float
    tokens_per_second: float


class _Watch(TrainerCallback):
    """Reports each step, gives up when nothing is finite, and turns Ctrl-C into a checkpoint."""

    def __init__(self, report: Callable[[Step], None], tokens_per_step: float) -> None:
        self.report = report
        self.tokens_per_step = tokens_per_step
        self.history: list[Step] = []
        self.wasted = 0
        self.interrupted = False
        self.began = (time.perf_counter(), 0)
        self.stop_at_once = signal.getsignal(signal.SIGINT)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        second = self.stop_at_once if callable(self.stop_at_once) else signal.default_int_handler
        signal.signal(signal.SIGINT, second)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        past = [entry for entry in state.log_history if "loss" in entry]
        self.history = [Step(int(e["step"]), e["loss"], e.get("grad_norm", math.nan), math.nan) for e in past]
        self.began = (time.perf_counter(), state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        logs = state.log_history[-1]
        if "loss" not in logs:
            return
        began, first = self.began
        pace = self.tokens_per_step * (state.global_step - first) / (time.perf_counter() - began)
        step = Step(state.global_step, logs["loss"], float(logs.get("grad_norm", math.nan)), pace)
        self.history.append(step)
        self.report(step)
        self.wasted = 0 if math.isfinite(step.loss) and math.isfinite(step.grad_norm) else self.wasted + 1
        if self.wasted >= PATIENCE:
            raise TrainingError(
                f"{PATIENCE} optimizer steps in a row had no finite loss and gradient (step {step.step}: loss"
                f" {step.loss}, gradient norm {step.grad_norm}); use another policy, or a lower learning rate"
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.interrupted:
            control.should_save = control.should_training_stop = True


class _SupervisedTrainer(Trainer):
    """Trainer whose model computes the logits of supervised tokens only."""

    def compute_loss(  # type: ignore[override]  # Trainer never asks for the outputs but to evaluate
        self,
        model: PeftModel,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        return batch_loss(model, inputs, num_items_in_batch)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_rng_state(checkpoint)


def fit(
    model: PeftModel,
    examples: Sequence[Example],
    *,
    pad_token_id: int,
    policy: Policy,
    settings: Settings,
    checkpoints: Path,
    report: Callable[[Step], None],
) -> list[Step]:
    """Trains the adapter in place, going on from the last checkpoint in `checkpoints` where there is one.

    Returns:
        One entry an optimizer step.

    Raises:
        OutputError: the checkpoint is damaged.
        TrainingError: no step was finite for a while, or the adapter is not finite, or nothing was learned.
        KeyboardInterrupt: after Ctrl-C, once a checkpoint is written; after a second one, at once.
    """
    device = model.device
    kept = whole_checkpoints(checkpoints)
    if kept:
        check_checkpoint(kept[-1], model)
    # transformers 4 sets this and leaves it set, and every version obeys it: fp32 after a mixed run would be mixed
    os.environ.pop(_ACCELERATE, None)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.steps // 10,
        seed=settings.seed,
        bf16=policy.compute == "bfloat16",
        fp16=policy.compute == "float16",
        use_cpu=device.type == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide the NaN that this is about
        save_steps=CHECKPOINT_EVERY,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )
    mean_length = sum(len(example.input_ids) for example in examples) / len(examples)
    watch = _Watch(report, mean_length * settings.batch_size)
    trainer = _SupervisedTrainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        data_collator=functools.partial(tokens.collate, pad_token_id=pad_token_id),
        callbacks=[watch],
    )
    for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == "PrinterCallback"]:
        trainer.remove_callback(callback)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, watch.interrupt) if main else None
    try:
        # Trainer adds autocast, a forward at a time
        with isolated(device), matmul_mode(policy), frozen_weights_cast(model, policy):
            trainer.train(resume_from_checkpoint=str(kept[-1]) if kept else None)
    except KeyboardInterrupt:
        if not (kept := whole_checkpoints(checkpoints)):
            raise
        last = kept[-1].name.rpartition("-")[2]
        raise KeyboardInterrupt(f"stopped at once; kept is step {last} of {settings.steps}") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
        os.environ.pop(_ACCELERATE, None)
        # Trainer leaves the model's forward wrapped in autocast, under which no other precision can be seen
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        vars(model).pop("_is_accelerate_prepared", None)  # else a second training would do without autocast
    model.eval()
    if watch.interrupted and trainer.state.global_step < settings.steps:
        raise KeyboardInterrupt(f"stopped after step {trainer.state.global_step} of {settings.steps}")
    _check_learned(model)
    return watch.history


def whole_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that were written to their end, the latest last; one that was cut off is removed."""
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        number = checkpoint.name.rpartition("-")[2]
        if number.isdecimal() and not is_cut_off(checkpoint):
            whole.append((int(number), checkpoint))
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return [checkpoint for _, checkpoint in sorted(whole)]


def _check_learned(model: PeftModel) -> None:
    adapter = {name: tensor for name, tensor in model.named_parameters() if "lora_" in name}
    for name, tensor in adapter.items():
        if not tensor.isfinite().all():
            raise TrainingError(f"after training {name} holds NaN or infinity; use another policy, or a lower rate")
    if not any(tensor.any() for name, tensor in adapter.items() if "lora_B" in name):
        raise TrainingError("training moved no weight of the adapter; raise the learning rate or the number of steps")
