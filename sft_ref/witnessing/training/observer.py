"""Observes a training with hooks on the model's forward and on every torch optimizer step, for both front ends.

It reads, and changes nothing: it draws no random number, and writes no gradient or tensor.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from sft_ref.witnessing.findings import gradients, labels, optimizer, precision, schedule
from sft_ref.witnessing.findings.observation import FirstStep, LRSchedule, ObservedBatch, Supervised, TrainingFault
from sft_ref.witnessing.findings.unexamined import list_unexamined
from sft_ref.witnessing.record.layers import is_adapter_disabled
from sft_ref.witnessing.record.probes import LabelledIds

from .batches import LossAlignment, observe_batch
from .forward import dropout_in_eval_mode, ends_of, uses_reentrant_checkpoints
from .parallel import same_batches
from .parameters import ParameterWatch
from .plan import max_lr, planned_lrs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Report = Callable[[Iterable[TrainingFault]], None]

_CHECKS = (*labels.CHECKS, *optimizer.CHECKS, *gradients.CHECKS, *precision.CHECKS, *schedule.CHECKS)

_FOREIGN_STEPS = 2
"""Number of steps of optimizers without any parameter of the model that count as a fault. Each step counts only after a
forward pass of the model, and before the first step of its own optimizer."""

_MOST_ROWS = 64
"""Maximum number of rows of the first step that are recorded."""


@dataclass
class _Forwards:
    """Observations of the first step's forward passes."""

    batches: list[ObservedBatch] = field(default_factory=list)
    alignment: LossAlignment = field(default_factory=LossAlignment)
    labels: torch.Tensor | None = None
    autocast: str | None = None
    inputs_need_gradients: bool = True
    outputs_need_gradients: bool = True
    sleeping: tuple[str, ...] = ()


class TrainingObserver:
    """Observes the training of one model.

    Args:
        model: the PeftModel, or the transformers model, that is trained; it may be wrapped, as by
            DistributedDataParallel.
        tokenizer: the tokenizer used in training; None if there is none.
        report: function that is called with the faults as they are found.
        supervised: the tokens that the caller wants to supervise; None if not specified.
        steps: number of planned optimizer steps, if known.
        scheduler: learning rate scheduler, if known.

    Attributes:
        step: number of optimizer steps so far.
        rows: rows of the first step.
        autocast: autocast dtype in the first forward pass; None if autocast is off.
        unexamined: maps the subjects that the first step did not show to the reason.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase | None,
        report: Report,
        *,
        supervised: Supervised | None = None,
        steps: int | None = None,
        scheduler: Any = None,  # noqa: ANN401
    ) -> None:
        self.step = 0
        self.rows: tuple[LabelledIds, ...] = ()
        self.autocast: str | None = None
        self.unexamined: dict[str, str] = {}
        self._model: Any = model
        self._tokenizer = tokenizer
        self._report = report
        self._supervised = supervised
        self._steps, self._scheduler = steps, scheduler
        self._plan = LRSchedule()
        self._parameters = ParameterWatch(model)
        self._seen = _Forwards()
        self._rates: list[float] = []
        self._foreign = self._answered = 0
        self._hooks = contextlib.ExitStack()
        self._forward_hooks = contextlib.ExitStack()

    def begin(self) -> None:
        """Registers the hooks."""
        # weak: an exception may end training without notice, and these hooks are called for all optimizers
        before, after = weakref.WeakMethod(self._before_step), weakref.WeakMethod(self._after_step)
        for handle in (
            register_optimizer_step_pre_hook(functools.partial(_call, before)),
            register_optimizer_step_post_hook(functools.partial(_call, after)),
        ):
            self._hooks.callback(handle.remove)
            weakref.finalize(self, handle.remove).atexit = False
        self._hooks.enter_context(self._forward_hooks)
        embedding, head = self._model.get_input_embeddings(), self._model.get_output_embeddings()
        for handle in (
            self._model.register_forward_pre_hook(torch.compiler.disable(self._before_forward), with_kwargs=True),
            self._model.register_forward_hook(torch.compiler.disable(self._after_forward)),
            embedding.register_forward_hook(torch.compiler.disable(self._after_embedding)),
            *([head.register_forward_hook(torch.compiler.disable(self._after_head))] if head is not None else []),
        ):
            self._forward_hooks.callback(handle.remove)

    def end(self, reported: int = 0) -> None:
        """Removes the hooks, and reports faults that show only at the end.

        Args:
            reported: number of optimizer steps according to the trainer.
        """
        self.remove_hooks()
        if not self.step:
            self._report([_unseen(reported) if reported else _no_step(self._foreign)])
            return
        self._report([*self._parameters.end_faults(), *schedule.check_rates_seen(self._plan, self._rates)])

    def remove_hooks(self) -> None:
        """Removes the hooks."""
        self._hooks.close()
        self._parameters.remove_hooks()

    def _before_forward(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not torch.is_grad_enabled() or self.step or is_adapter_disabled(module):
            return
        batch = observe_batch(args, kwargs, is_training=module.training)
        if batch is None:
            return
        self._seen.batches.append(batch)
        given = kwargs.get("labels")
        self._seen.labels = given.detach() if isinstance(given, torch.Tensor) else None
        if not self._seen.sleeping and module.training:
            self._seen.sleeping = dropout_in_eval_mode(module)

    def _after_embedding(self, embedding: torch.nn.Module, _args: object, output: torch.Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        kind = output.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        self._seen.autocast = None if dtype is None else str(dtype).removeprefix("torch.")
        self._seen.inputs_need_gradients = output.requires_grad

    def _after_head(self, _head: torch.nn.Module, _args: object, logits: torch.Tensor) -> None:
        if self._is_watched_forward():
            self._seen.alignment.watch(logits, self._seen.labels)

    def _after_forward(self, _module: torch.nn.Module, _args: object, output: object) -> None:
        if not self._is_watched_forward():
            return
        parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple) else (output,)
        tensors = [each for each in parts if isinstance(each, torch.Tensor)]
        self._seen.outputs_need_gradients = not tensors or any(each.requires_grad for each in tensors)
        if not self._seen.outputs_need_gradients:  # backward would fail without naming the cause
            step = self._observed(None)
            self._report([*optimizer.check_adapter_is_trained(step), *gradients.check_gradients_can_flow(step)])

    def _is_watched_forward(self) -> bool:
        """Whether the current forward pass belongs to the training."""
        return torch.is_grad_enabled() and bool(self._seen.batches) and not is_adapter_disabled(self._model)

    def _before_step(self, stepping: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        if not self._parameters.is_own(stepping):
            if self.step or len(self._seen.batches) == self._answered or not self._parameters.has_gradients():
                return  # a step of another model, or of parameter copies, as in DeepSpeed
            self._foreign, self._answered = self._foreign + 1, len(self._seen.batches)
            if self._foreign >= _FOREIGN_STEPS:
                self._report([_no_step(self._foreign)])
            return
        self._rates.append(max_lr(stepping))
        if self.step:
            self._report(self._parameters.before_step(self.step + 1))
            return
        self._plan = planned_lrs(stepping, self._scheduler, self._steps)
        self._parameters.snapshot()
        self.rows = tuple(row for batch in self._seen.batches for row in batch.probe_rows)[:_MOST_ROWS]
        self.autocast = self._seen.autocast
        step = self._observed(stepping)
        self.unexamined = list_unexamined(step)
        self._report([fault for check in _CHECKS for fault in check(step)])

    def _after_step(self, stepping: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        if not self._parameters.is_own(stepping):
            return
        self.step += 1
        if self.step == 1:
            self._forward_hooks.close()
            self._seen = _Forwards()
            self._report(self._parameters.after_first_step(self._rates[0]))

    def _observed(self, stepping: torch.optim.Optimizer | None) -> FirstStep:
        """Returns the observations of the first step so far; `stepping` is None if no optimizer steps yet."""
        seen = self._seen
        return FirstStep(
            batches=tuple(seen.batches),
            parameters=self._parameters.observe(stepping, max(self._plan.rates, default=None)),
            plan=self._plan,
            ends=ends_of(self._model, self._tokenizer),
            padding=getattr(self._tokenizer, "pad_token_id", None),
            supervised=self._supervised,
            autocast=seen.autocast,
            dropout_in_eval_mode=seen.sleeping,
            reentrant=uses_reentrant_checkpoints(self._model),
            inputs_need_gradients=seen.inputs_need_gradients,
            outputs_need_gradients=seen.outputs_need_gradients,
            alignment=seen.alignment.cosine,
            same_batch=same_batches(seen.batches) if stepping is not None else (),
        )


def _call(method: weakref.WeakMethod[Callable[..., None]], *args: object) -> None:
    if (found := method()) is not None:
        found(*args)


def _unseen(steps: int) -> TrainingFault:
    return TrainingFault(
        f"none of {steps} steps was made by an optimizer of torch on the model's own parameters: nothing was observed",
        "there is no record; train with an optimizer of torch to have one",
    )


def _no_step(foreign: int) -> TrainingFault:
    if foreign:
        return TrainingFault(
            f"an optimizer made {foreign} steps, but it holds no parameter of this model",
            "make the optimizer after the adapter is put on the model, from the parameters with requires_grad",
            is_fatal=True,
        )
    return TrainingFault(
        "no optimizer of torch made a step: nothing was trained",
        "call optimizer.step(), or give the witness the model that is trained",
        is_fatal=True,
    )
