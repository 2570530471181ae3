"""Keeps a training within the time of a grading: fewer steps where they can be planned, else steps that do nothing."""

import math
import re
import time
from pathlib import Path

LEAST = 60
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
        longest = max(len(trainer.train_dataset[i]["input_ids"]) for i in range(0, count, max(1, count // 16)))
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
    note(f"training was shortened from outside, from {planned} to {allowed} steps, its schedule with it")
    return planned, allowed


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
    """Seconds of a forward and a backward."""
    import torch

    state, was_training = torch.get_rng_state(), model.training
    model.train()
    ids = torch.ones(rows, length, dtype=torch.long, device=next(model.parameters()).device)
    try:
        for _ in range(2):  # the first one warms up
            began = time.perf_counter()
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
            if loss.requires_grad:
                loss.backward()
            took = time.perf_counter() - began
    finally:
        for weight in model.parameters():
            weight.grad = None
        model.train(was_training)
        torch.set_rng_state(state)
    return took


class Clock:
    """After `seconds`, a Trainer is told to stop; a plain loop runs on, but its steps take no time and do nothing.

    So it comes to its end by itself, and to whatever it does there.
    """

    def __init__(self, seconds, note):
        self.seconds, self.note = seconds, note
        self.began = None
        self.steps = 0

    def is_up(self):
        """Whether time is up, and the least number of steps was taken."""
        if self.began is None:
            self.began = time.monotonic()
        spent = time.monotonic() - self.began
        up = spent > MOST or (self.steps >= LEAST and spent > self.seconds)
        if up:
            self.note(f"training was stopped from outside after {self.steps} steps, since it takes too long here")
        return up

    def install(self):
        """Hooks the clock into Trainer and DataLoader."""
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
        from transformers import TrainerCallback
        from transformers.trainer import DEFAULT_CALLBACKS

        clock = self

        class Stop(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if clock.is_up():
                    control.should_training_stop = True
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
        if self.is_up():
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = None

    def _count(self, *args):
        self.steps += 1
