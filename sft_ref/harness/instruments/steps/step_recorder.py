"""Divides the training of a model into optimizer steps, and records each step."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from .optimizer_recorder import OptimizerRecorder
from .output_hooks import hook_outputs


class StepRecorder:
    """Records one optimizer step at a time: gradients, learning rate, changed tensors, and module dtypes.

    A step begins with a forward pass, and ends when the next forward pass begins after an optimizer has stepped:
    gradients may be accumulated over several forward passes, and several optimizers may share a step. If the trained
    tensors change between two passes without an optimizer step, the earlier passes were a trial, as in sharpness-aware
    minimization or a line search, and the step is restarted.

    Args:
        model: the model with the trained tensors.
        forwarded: the module whose submodules' output dtypes are recorded.
        planned: number of steps; determines which steps are sampled in addition to the powers of two.
        adapter_alone: whether to record adapter tensors only.
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
        """Marks the beginning of a forward pass, and of a step unless one has begun; call `close` first.

        Returns:
            Whether the step is restarted, so that records of its earlier passes are invalid.
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
        """Records the state before a step of any optimizer."""
        self._optimizers.before_step(optimizer)

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Records the changes after the step."""
        self._optimizers.after_step(optimizer)

    def close(self) -> dict[str, Any] | None:
        """Ends a step in which an optimizer stepped, and returns fields of a `RecordedStep`; None if none did."""
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
