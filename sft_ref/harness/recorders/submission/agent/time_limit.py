"""Keeps a training within the time of a grading: fewer steps where they can be planned, else steps that do nothing.

Time is processor time of the thread that trains, so that a busy machine shortens nothing.
"""

import math
import re
import time
from pathlib import Path

from .padding import IGNORED

LEAST = 100
"""Optimizer steps that a training gets, if they fit into `MOST` seconds; the toy then answers."""
MOST = 120

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def shorten(trainer, seconds, note):
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
    except Exception:  # a dataset or a model of another kind: the clock alone stops it
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


def _shorten_intervals(args, share):
    """Evaluations and checkpoints come at the same shares of a shortened training as of the whole one."""
    evaluated, saved = args.eval_steps, args.save_steps
    counts = evaluated is not None and evaluated >= 1  # below, it is a share
    if counts:
        args.eval_steps = max(1, int(evaluated * share))
    if saved >= 1:
        is_multiple = counts and saved % evaluated == 0  # the best checkpoint is one that was evaluated
        args.save_steps = args.eval_steps * int(saved // evaluated) if is_multiple else max(1, int(saved * share))


def _length(row):
    """Tokens of a row of a dataset without the padding that `trim` would cut."""
    ids = row["input_ids"]
    mask, labels = row.get("attention_mask"), row.get("labels")
    kept = [True] * len(ids) if mask is None else [bool(each) for each in mask]
    if labels is not None and len(labels) == len(ids):
        kept = [own or int(label) != IGNORED for own, label in zip(kept, labels)]
    return sum(kept)


def find_checkpoint(path, shortened):
    """The checkpoint at the same share of a shortened training, where a path names one that it never came to."""
    path = Path(path)
    wanted = _CHECKPOINT.fullmatch(path.name)
    if not shortened or not wanted or path.exists():
        return path
    planned, done = shortened
    matches = {each: _CHECKPOINT.fullmatch(each.name) for each in path.parent.glob("checkpoint-*")}
    saved = {int(match[1]): each for each, match in matches.items() if match}
    nearest = min(saved, key=lambda step: abs(step - int(wanted[1]) * done / planned), default=None)
    return saved.get(nearest, path)


def _time(model, rows, length):
    """Seconds of processor time of a forward and a backward."""
    import torch

    state, was_training = torch.get_rng_state(), model.training
    model.train()
    ids = torch.ones(rows, length, dtype=torch.long, device=next(model.parameters()).device)
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
    """After `seconds`, a Trainer is told to stop; a plain loop runs on, but its steps take no time and do nothing.

    So it comes to its end by itself, and to whatever it does there.
    """

    def __init__(self, seconds, note):
        self.seconds, self.note = seconds, note
        self.began = None
        self.steps, self.planned = 0, 0
        self.stopped = False

    def is_up(self):
        """Whether time is up, and the least number of steps was taken."""
        if self.began is None:
            self.began = time.thread_time()
        spent = time.thread_time() - self.began
        self.stopped = self.stopped or spent > MOST or (self.steps >= LEAST and spent > self.seconds)
        return self.stopped

    def tell(self):
        """Notes how many of its steps were run, once training has ended."""
        if self.stopped and self.planned > self.steps:
            self.note(f"training was cut from {self.planned} to {self.steps} steps, to fit the time of a grading")
        elif self.stopped:
            self.note(f"training was stopped after {self.steps} steps, to fit the time of a grading")

    def install(self):
        """Hooks the clock into Trainer and DataLoader."""
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
        from transformers import TrainerCallback
        from transformers.trainer import DEFAULT_CALLBACKS

        clock = self

        class Stop(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if clock.is_up():
                    clock.planned = max(clock.planned, state.max_steps)
                    control.should_training_stop = True
                    if args.save_strategy not in ("no", "best"):
                        control.should_save = True  # as at the end of a training
                return control

        DEFAULT_CALLBACKS.append(Stop)
        register_optimizer_step_pre_hook(self._spare)
        register_optimizer_step_post_hook(self._count)

    def idle(self, model, ids):
        """What a forward gives once time is up: zeros that lead back to what is trained."""
        from transformers.modeling_outputs import CausalLMOutputWithPast

        nothing = sum(weight.sum() * 0 for weight in model.parameters() if weight.requires_grad)
        return CausalLMOutputWithPast(
            loss=nothing, logits=ids.new_zeros(*ids.shape, model.vocab_size).float() + nothing
        )

    def _spare(self, optimizer, *args):
        """A tensor without a gradient is left alone by every optimizer."""
        self.planned += 1
        if self.is_up():
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = None

    def _count(self, *args):
        if not self.stopped:
            self.steps += 1
