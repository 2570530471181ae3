"""Keeps a training within the time of a grading: fewer steps where they can be planned, else steps that do nothing.

Time is processor time of the thread that trains, so that a busy machine shortens nothing.
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
"""Optimizer steps that a training gets, if they fit into `MOST` seconds; the toy then answers."""
MOST = 120

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def shorten(trainer: Any, seconds: float, note: Callable[[str], None]) -> tuple[int, int] | None:
    """Before `Trainer.train`: plans no more steps than fit into `seconds`, schedule included, as one batch is timed.

    Returns:
        The steps that were planned by the submission, and those that it gets; None where they are left as they are.
    """
    args = trainer.args
    rows = args.per_device_train_batch_size
    parts = args.gradient_accumulation_steps
    try:
        count = len(trainer.train_dataset)
        longest = max(_length(trainer.train_dataset[i]) for i in range(0, count, max(1, count // 16)))
        each = _time(trainer.model, min(rows, count), longest) * parts
    except Exception:  # noqa: BLE001  # a dataset or a model of another kind: the time limit alone stops it
        return None
    planned = args.max_steps if args.max_steps > 0 else math.ceil(count / (rows * parts) * args.num_train_epochs)
    allowed = max(1, min(LEAST, int(MOST / each)), int(seconds / each))
    if planned <= allowed:
        return None
    args.max_steps = allowed
    if args.warmup_steps >= 1:  # below, it is a share
        args.warmup_steps = args.warmup_steps * allowed // planned
    _shorten_intervals(args, allowed / planned)
    note(f"training was cut from {planned} to {allowed} steps, and its schedule with it, to fit the time of a grading")
    return planned, allowed


def _shorten_intervals(args: Any, share: float) -> None:
    """Evaluations and checkpoints come at the same shares of a shortened training as of the whole one."""
    evaluated, saved = args.eval_steps, args.save_steps
    counts = evaluated is not None and evaluated >= 1  # below, it is a share
    if counts:
        args.eval_steps = max(1, int(evaluated * share))
    if saved >= 1:
        is_multiple = counts and saved % evaluated == 0  # the best checkpoint is one that was evaluated
        args.save_steps = args.eval_steps * int(saved // evaluated) if is_multiple else max(1, int(saved * share))


def _length(row: Mapping[str, Any]) -> int:
    """Tokens of a row of a dataset without the padding that `trim` would cut."""
    ids = row["input_ids"]
    mask, labels = row.get("attention_mask"), row.get("labels")
    unpadded = [True] * len(ids) if mask is None else [bool(each) for each in mask]
    if labels is not None and len(labels) == len(ids):
        unpadded = [own or int(label) != IGNORE_INDEX for own, label in zip(unpadded, labels, strict=False)]
    return sum(unpadded)


def find_checkpoint(path: str | Path, shortened: tuple[int, int] | None) -> Path:
    """The checkpoint at the same share of a shortened training, where a path names one that it never came to."""
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
    """Seconds of processor time of a forward and a backward pass."""
    state, was_training = torch.get_rng_state(), model.training
    model.train()
    ids = torch.ones(rows, length, dtype=torch.long, device=next(model.parameters()).device)
    took = 0.0
    try:
        for _ in range(2):  # the first one warms up
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
    """Ends a training that goes on for longer than `seconds`.

    A Trainer is asked to stop. A plain loop runs on, but its steps take no time and do nothing, so that it comes to its
    end by itself, and to whatever it does there.

    Attributes:
        steps: optimizer steps that were run.
        planned: those that the training would have run, as far as that is known.
        is_over: whether time was up when it was last looked at.
    """

    def __init__(self, seconds: float, note: Callable[[str], None]) -> None:
        self.seconds, self.note = seconds, note
        self.began: float | None = None
        self.steps, self.planned = 0, 0
        self.is_over = False
        self._steps_of_model = 0

    def check(self) -> bool:
        """Whether time is up, and the least number of steps was taken."""
        if self.began is None:
            self.began = time.thread_time()
        spent = time.thread_time() - self.began
        is_trained = self._steps_of_model >= LEAST
        self.is_over = self.is_over or spent > MOST or (is_trained and spent > self.seconds)
        return self.is_over

    def begin_model(self) -> None:
        """Another model is trained: it gets the least number of steps, too, as in a search for a rate."""
        self._steps_of_model = 0

    def finish(self) -> None:
        """Notes how many of its steps were run, once training has ended."""
        if self.is_over and self.planned > self.steps:
            self.note(f"training was cut from {self.planned} to {self.steps} steps, to fit the time of a grading")
        elif self.is_over:
            self.note(f"training was stopped after {self.steps} steps, to fit the time of a grading")

    def make_callback(self) -> Any:
        """A class of callbacks that stop a Trainer."""
        from transformers import TrainerCallback

        limit = self

        class Stop(TrainerCallback):
            """Stops when time is up, and saves as at the end of a training."""

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
                """After each optimizer step."""
                if limit.check():
                    limit.planned = max(limit.planned, state.max_steps)
                    control.should_training_stop = True
                    if args.save_strategy not in ("no", "best"):
                        control.should_save = True
                return control

        return Stop

    def make_empty_output(self, model: Any, ids: torch.Tensor) -> Any:
        """What a forward pass gives once time is up: zeros that lead back to what is trained."""
        from transformers.modeling_outputs import CausalLMOutputWithPast

        zero = sum(weight.sum() * 0 for weight in model.parameters() if weight.requires_grad)
        return CausalLMOutputWithPast(loss=zero, logits=ids.new_zeros(*ids.shape, model.vocab_size).float() + zero)

    def before_step(self, optimizer: Any, *args: Any) -> None:
        """Once time is up, takes the gradients away: every optimizer leaves a tensor without one alone."""
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
