"""Transformers' Trainer, made robust against Ctrl-C, damaged checkpoints, and global state left by accelerate."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .checkpoint import reading_checkpoint
from .resuming import complete_checkpoints

_ACCELERATE = "ACCELERATE_MIXED_PRECISION"


class CarefulTrainer(Trainer):
    """A Trainer with a custom loss, which raises an `OutputError` that names a damaged checkpoint.

    Args:
        loss: function of a model, a batch, and the number of supervised tokens in all micro-batches of a step.
        arguments: arguments of Trainer.
    """

    def __init__(self, loss: Callable[..., torch.Tensor], **arguments: Any) -> None:  # noqa: ANN401
        self.loss = loss
        super().__init__(**arguments)

    def compute_loss(  # type: ignore[override]  # Trainer requests outputs only to evaluate
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Returns the loss of a batch."""
        return self.loss(model, inputs, num_items_in_batch)

    def _maybe_log_save_evaluate(self, tr_loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Clears the logged sum of losses: Trainer subtracts it from itself, which makes NaN of an infinite one."""
        super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)
        tr_loss.zero_()  # every step is logged

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:  # noqa: ANN401
        """Loads the adapter in its trained dtypes, because peft casts a 16-bit adapter to fp32 on loading."""
        adapted: Any = self.model
        dtypes = {name: tensor.dtype for name, tensor in adapted.named_parameters()}
        super()._load_from_checkpoint(checkpoint, model)
        for name, tensor in adapted.named_parameters():
            tensor.data = tensor.data.to(dtypes[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_rng_state(checkpoint)


class _StopOnInterrupt(TrainerCallback):
    """Saves a checkpoint on the first Ctrl-C; the second one goes to the previous signal handler."""

    def __init__(self) -> None:
        self.interrupted = False
        self.before = signal.getsignal(signal.SIGINT)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self.before if callable(self.before) else signal.default_int_handler)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.interrupted:
            control.should_save = control.should_training_stop = True


@contextlib.contextmanager
def interruptible(trainer: Trainer, checkpoints: Path) -> Iterator[None]:
    """Makes Ctrl-C within its context end the training after the current step, with a checkpoint; a second one at once.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the message names the step from which a later run resumes.
    """
    stop = _StopOnInterrupt()
    trainer.add_callback(stop)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, stop.interrupt) if main else None
    try:
        yield
    except KeyboardInterrupt:
        if not (complete := complete_checkpoints(checkpoints)):
            raise
        last = complete[-1].name.rpartition("-")[2]
        raise KeyboardInterrupt(f"stopped at once; step {last} of {trainer.args.max_steps} is saved") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
    if stop.interrupted and trainer.state.global_step < trainer.args.max_steps:
        raise KeyboardInterrupt(f"stopped after step {trainer.state.global_step} of {trainer.args.max_steps}")


@contextlib.contextmanager
def accelerate_contained(model: torch.nn.Module) -> Iterator[None]:
    """Removes the mixed precision of an earlier training within its context, and afterwards that of this training.

    Transformers 4 sets an environment variable and leaves it set, and every version obeys it: an fp32 training after a
    mixed one would be mixed. Trainer leaves the model's forward wrapped in autocast, which hides any other precision.
    """
    from accelerate.utils import extract_model_from_parallel

    os.environ.pop(_ACCELERATE, None)
    try:
        yield
    finally:
        os.environ.pop(_ACCELERATE, None)
        extract_model_from_parallel(model, keep_fp32_wrapper=False)
        vars(model).pop("_is_accelerate_prepared", None)  # else a second training would have no autocast
