"""Records the optimizer steps of training: learning rates, and what each step moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .....instruments.steps.step_recorder import StepRecorder
from ..inspection import is_blank, next_token_losses
from ..results import ResultWriter
from ..time_limit import TimeLimit


class OptimizerSteps:
    """Records optimizer steps.

    Args:
        forward_passes: forward passes recorded so far; only their number is used.
        limit: time limit for a loop of the submission's own.
        writer: writes notes.

    Attributes:
        model: model of the last forward pass; None before the first one.
        stepped_model: model of the last step; None before the first one.
        models: number of models that were stepped.
        taken: for each step, its learning rate, the number of forward passes before it, and Adam's betas.
        recorded: for the model that is trained last, fields of a `RecordedStep`; `passes` are the first and last
            index + 1 of its forward passes, and `trained` is None if it is unchanged since the previous step.
        optimizer: name and settings of the optimizer of the last step.
        first_pass: index of the first forward pass of the model that is trained last.
        hooks: ids of the forward hooks of the model that is trained last, at its first forward pass.
        first_losses: token losses before that pass; None if they are unknown, or its adapter already adds something.
    """

    def __init__(self, forward_passes: Sequence[Any], limit: TimeLimit, writer: ResultWriter) -> None:
        self.forward_passes, self.limit, self.writer = forward_passes, limit, writer
        self.model: Any = None
        self.stepped_model: Any = None
        self.models = 0
        self.taken: list[tuple[float, int, list[float] | None]] = []
        self.recorded: list[dict[str, Any]] = []
        self.optimizer: dict[str, Any] = {}
        self.first_pass = 0
        self.first_losses: torch.Tensor | None = None
        self.hooks: frozenset[int] = frozenset()
        self._step: StepRecorder | None = None
        self._begun = 0
        self._trained: frozenset[str] = frozenset()

    def begin(self, model: Any) -> None:
        """Runs before a forward pass in training."""
        self._observe(self._begin, model)
        self.model = model

    def record_first_losses(self, forward: Callable[..., Any], model: Any, given: Mapping[str, Any]) -> None:
        """Records the token losses before a model's first forward pass, if its adapter still adds nothing."""
        if self.first_pass != len(self.forward_passes) - 1 or not is_blank(model):
            return
        try:
            self.first_losses = next_token_losses(forward, model, given)
        except Exception as error:  # noqa: BLE001  # the forward may be of any kind
            self.writer.note(f"the losses at the first step were not recorded: {type(error).__name__}: {error}")

    def before_step(self, optimizer: Any, *args: Any) -> None:
        """Runs before an optimizer step."""
        if self._step is not None and not self.limit.is_over:
            self._observe(self._step.before_step, optimizer)

    def after_step(self, optimizer: Any) -> None:
        """Runs after an optimizer step."""
        if self._step is not None:
            self._observe(self._step.after_step, optimizer)
        self.models += self.model is not self.stepped_model
        self.stepped_model = self.model
        group = optimizer.param_groups[0]
        betas = group.get("betas")  # a schedule may change them at each step
        betas = [float(each) for each in betas] if betas else None
        self.taken.append((float(group["lr"] or 0.0), len(self.forward_passes), betas))
        self.optimizer = {
            "name": type(optimizer).__name__,
            "weight_decay": float(group.get("weight_decay") or 0.0),
            "tensors": sum(len(each["params"]) for each in optimizer.param_groups),
        }

    def finish(self) -> None:
        """Ends the record."""
        self._close_step()
        if self._step is not None:
            self._step.remove_hooks()

    def _observe(self, function: Callable[[Any], None], argument: Any) -> None:
        """Records a step; a failure to do so is no fault of the submission, and only ends the recording of steps."""
        try:
            function(argument)
        except Exception as error:  # noqa: BLE001  # optimizers and tensors of any kind
            if self._step is not None:
                self._step.remove_hooks()
            self._step, self.recorded = None, []
            self.writer.note(f"the optimizer steps of training were not recorded: {type(error).__name__}: {error}")

    def _begin(self, model: Any) -> None:
        """Runs before a forward pass in training; a pass of another model restarts the record."""
        self._close_step()
        if model is not self.model:
            self.limit.begin_model()
            if self._step is not None:
                self._step.remove_hooks()
            self.hooks = frozenset(hook for module in model.modules() for hook in module._forward_hooks)  # noqa: SLF001
            self._step, self.recorded = StepRecorder(model, model, adapter_alone=True), []
            self._begun, self._trained = len(self.forward_passes), frozenset()
            self.first_pass, self.first_losses = self._begun, None
        if self._step is not None and self._step.begin():
            self._begun = len(self.forward_passes)

    def _close_step(self) -> None:
        """Ends a step in which an optimizer stepped."""
        fields = None if self._step is None else self._step.close()
        if fields is None:
            return
        trained, fields["trained"] = fields["trained"], sorted(fields["trained"])
        if trained == self._trained:
            fields["trained"] = None
        fields["passes"] = [self._begun, len(self.forward_passes)]
        self._trained, self._begun = trained, len(self.forward_passes)
        self.recorded.append(fields)
