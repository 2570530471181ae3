"""Limits a training's time for grading: reduces the steps if they can be planned, else makes steps do nothing.

Time is processor time of the training thread, so that a busy machine shortens nothing.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from .batches import IGNORE_INDEX

LEAST = 100
"""Optimizer steps that a training is granted if they fit into `MOST` seconds; enough for the toy to answer."""
MOST = 120

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def shorten(trainer: Any, seconds: float, note: Callable[[str], None]) -> tuple[int, int] | None:
    """Reduces, before `Trainer.train`, its steps and schedule to those that fit into `seconds`, by timing one batch.

    Returns:
        The steps that the submission planned and those that it gets; None if they are unchanged.
    """
    args = trainer.args
    rows = args.per_device_train_batch_size
    parts = args.gradient_accumulation_steps
    try:
        count = len(trainer.train_dataset)
        longest = max(_length(trainer.train_dataset[i]) for i in range(0, count, max(1, count // 16)))
        each = _time(trainer.model, min(rows, count), longest) * parts
    except Exception:  # noqa: BLE001  # an unsupported dataset or model: only the time limit applies
        return None
    planned = args.max_steps if args.max_steps > 0 else math.ceil(count / (rows * parts) * args.num_train_epochs)
    allowed = max(1, min(LEAST, int(MOST / each)), int(seconds / each))
    if planned <= allowed:
        return None
    args.max_steps = allowed
    if args.warmup_steps >= 1:  # a smaller value is a share
        args.warmup_steps = args.warmup_steps * allowed // planned
    _shorten_intervals(args, allowed / planned)
    note(f"training and its schedule were cut from {planned} to {allowed} steps, to fit the time limit of a grading")
    return planned, allowed


def _shorten_intervals(args: Any, share: float) -> None:
    """Scales the intervals of evaluations and checkpoints so that they keep their shares of the training."""
    evaluated, saved = args.eval_steps, args.save_steps
    counts = evaluated is not None and evaluated >= 1  # a smaller value is a share
    if counts:
        args.eval_steps = max(1, int(evaluated * share))
    if saved >= 1:
        is_multiple = counts and saved % evaluated == 0  # the best checkpoint must be an evaluated one
        args.save_steps = args.eval_steps * int(saved // evaluated) if is_multiple else max(1, int(saved * share))


def _length(row: Mapping[str, Any]) -> int:
    """Counts the tokens of a dataset row without the padding that `trim` would cut."""
    ids = row["input_ids"]
    mask, labels = row.get("attention_mask"), row.get("labels")
    unpadded = [True] * len(ids) if mask is None else [bool(each) for each in mask]
    if labels is not None and len(labels) == len(ids):
        unpadded = [own or int(label) != IGNORE_INDEX for own, label in zip(unpadded, labels, strict=False)]
    return sum(unpadded)


def find_checkpoint(path: str | Path, shortened: tuple[int, int] | None) -> Path:
    """Returns the checkpoint at the same share of a shortened training, if a path names one that was never reached."""
    path = Path(path)
    wanted = _CHECKPOINT.fullmatch(path.name)
    if not shortened or not wanted or path.exists():
        return path
    planned, done = shortened
    matches = {each: _CHECKPOINT.fullmatch(each.name) for each in path.parent.glob("checkpoint-*")}
    saved = {int(match[1]): each for each, match in matches.items() if match}
    if not saved:
        return path
    return saved[min(saved, key=lambda step: abs(step - int(wanted[1]) * done / planned))]


def _time(model: Any, rows: int, length: int) -> float:
    """Measures the processor seconds of a forward and a backward pass."""
    state, was_training = torch.get_rng_state(), model.training
    model.train()
    ids = torch.ones(rows, length, dtype=torch.long, device=next(model.parameters()).device)
    took = 0.0
    try:
        for _ in range(2):  # the first pass is a warm-up
            began = time.thread_time()
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
            if loss.requires_grad:
                loss.backward()
            took = time.thread_time() - began
    finally:
        for weight in model.parameters():
            weight.grad = None
        model.train(was_training)
        torch.set_rng_state(state)
    return took


class TimeLimit:
    """Ends a training that takes longer than `seconds`.

    A Trainer is asked to stop. A plain loop continues, but its steps take no time and do nothing, so that it reaches
    its end, and the code after it, on its own.

    Attributes:
        steps: optimizer steps that were run.
        planned: steps that the training would have run, as far as known.
        is_over: whether time was up at the last check.
    """

    def __init__(self, seconds: float, note: Callable[[str], None]) -> None:
        self.seconds, self.note = seconds, note
        self.began: float | None = None
        self.steps, self.planned = 0, 0
        self.is_over = False
        self._steps_of_model = 0

    def check(self) -> bool:
        """Returns whether time is up after the minimum number of steps."""
        if self.began is None:
            self.began = time.thread_time()
        spent = time.thread_time() - self.began
        is_trained = self._steps_of_model >= LEAST
        self.is_over = self.is_over or spent > MOST or (is_trained and spent > self.seconds)
        return self.is_over

    def begin_model(self) -> None:
        """Restarts the step count for another model, which also gets the minimum number, as in a search for a rate."""
        self._steps_of_model = 0

    def finish(self) -> None:
        """Notes how many steps were run, once training has ended."""
        if self.is_over and self.planned > self.steps:
            self.note(f"training was cut from {self.planned} to {self.steps} steps, to fit the time limit of a grading")
        elif self.is_over:
            self.note(f"training was stopped after {self.steps} steps, to fit the time limit of a grading")

    def make_callback(self) -> Any:
        """Returns a callback class that stops a Trainer."""
        from transformers import TrainerCallback

        limit = self

        class Stop(TrainerCallback):
            """Stops when time is up, and saves as at the end of a training."""

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
                """Checks the time after each optimizer step."""
                if limit.check():
                    limit.planned = max(limit.planned, state.max_steps)
                    control.should_training_stop = True
                    if args.save_strategy not in ("no", "best"):
                        control.should_save = True
                return control

        return Stop

    def make_empty_output(self, model: Any, ids: torch.Tensor) -> Any:
        """Returns the output of a forward pass after time is up: zeros that are connected to the trained weights."""
        from transformers.modeling_outputs import CausalLMOutputWithPast

        zero = sum(weight.sum() * 0 for weight in model.parameters() if weight.requires_grad)
        return CausalLMOutputWithPast(loss=zero, logits=ids.new_zeros(*ids.shape, model.vocab_size).float() + zero)

    def before_step(self, optimizer: Any, *args: Any) -> None:
        """Removes the gradients once time is up, since optimizers skip tensors without a gradient."""
        self.planned += 1
        if self.check():
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = None

    def after_step(self, *args: Any) -> None:
        """Counts the steps that are run."""
        if not self.is_over:
            self.steps += 1
            self._steps_of_model += 1
