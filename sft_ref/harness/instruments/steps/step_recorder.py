"""Divides the training of a model into optimizer steps, and records each."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from .optimizer_recorder import OptimizerRecorder
from .output_hooks import hook_outputs


class StepRecorder:
    """Records one optimizer step at a time: its gradients, its rate, what moves, and the dtypes of modules.

    A step begins with a forward pass, and ends where the next one begins after an optimizer stepped: gradients may be
    accumulated over several forward passes, and several optimizers may share a step. Where the trained tensors change
    between two passes and no optimizer steps, the passes before were a trial, as of sharpness-aware minimization or a
    line search, and the step begins anew.

    Args:
        model: holds the trained tensors.
        forwarded: the module whose parts' outputs have the dtypes.
        planned: number of steps; decides which are in the sample besides the powers of two.
        adapter_alone: whether the adapter's tensors are recorded alone.
    """

    def __init__(
        self, model: torch.nn.Module, forwarded: torch.nn.Module, *, planned: int = 0, adapter_alone: bool = False
    ) -> None:
        self._optimizers = OptimizerRecorder(model, adapter_alone=adapter_alone)
        self._forwarded = forwarded
        self._planned = planned
        self._number = 1
        self._is_open = False
        self._dtypes: dict[str, str] = {}
        self._dtype_hooks = contextlib.ExitStack()

    @property
    def is_sampled(self) -> bool:
        """Whether the current step is a power of two, in the middle, or the last of the planned steps."""
        return self._number & (self._number - 1) == 0 or self._number in (self._planned // 2, self._planned)

    def begin(self) -> bool:
        """A forward pass begins, and a step with it unless one has begun; call `close` first.

        Returns:
            Whether the step begins anew: what was recorded of its passes is void.
        """
        self._optimizers.watch()
        has_changed = self._optimizers.have_values_changed()
        if self._is_open:
            if has_changed:
                self._optimizers.forget_gradients()
            return has_changed
        self._is_open = True
        self._optimizers.is_sampled = self.is_sampled
        if self.is_sampled:
            self._dtype_hooks.enter_context(hook_outputs(self._forwarded.named_modules(), self._note_dtype))
        return False

    def _note_dtype(self, name: str, output: torch.Tensor) -> None:
        self._dtypes.setdefault(name, str(output.dtype).removeprefix("torch."))

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Before a step of any optimizer."""
        self._optimizers.before_step(optimizer)

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """After it."""
        self._optimizers.after_step(optimizer)

    def close(self) -> dict[str, Any] | None:
        """Ends a step in which an optimizer stepped: fields of a `RecordedStep`; None where none did."""
        if not self._optimizers.has_stepped:
            return None
        self._dtype_hooks.close()
        fields = {**self._optimizers.take(), "dtypes": self._dtypes or None}
        self._dtypes = {}
        self._is_open = False
        self._number += 1
        return fields

    def remove_hooks(self) -> None:
        """Removes all hooks."""
        self._dtype_hooks.close()
        self._optimizers.remove_hooks()
