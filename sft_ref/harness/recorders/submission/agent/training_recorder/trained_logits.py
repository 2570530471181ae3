"""Writes the logits of a trained model whose adapter is not peft's, before training may take the adapter off again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..inspection import choose_rows, compute_logits
from ..results import ResultWriter
from .optimizer_steps import OptimizerSteps
from .texts import TextRecorder


class TrainedLogits:
    """The trained model's logits of the first texts.

    They are written when training ends, or earlier if the model is put back in its first form: if a forward hook that
    was there in training is removed, or a module with trained parameters is replaced.

    Args:
        steps: knows the model that is trained.
        texts: the texts of training.
        writer: writes the logits.
    """

    def __init__(self, steps: OptimizerSteps, texts: TextRecorder, writer: ResultWriter) -> None:
        self.steps, self.texts, self.writer = steps, texts, writer
        self._written_after = 0

    # Called by the patches of libraries.

    def remove_hook(self, original: Callable[[Any], None], handle: Any, /) -> None:
        """Wraps `RemovableHandle.remove`."""
        if handle.id in self.steps.hooks:
            self._write_if_needed()
        original(handle)

    def set_attribute(self, original: Callable[..., None], module: Any, /, name: str, value: Any) -> None:
        """Wraps `Module.__setattr__`."""
        if isinstance(value, torch.nn.Module) and self.steps.taken:
            replaced = module.__dict__.get("_modules", {}).get(name)
            if replaced is not None and any(each.requires_grad for each in replaced.parameters()):
                self._write_if_needed()
        original(module, name, value)

    def _write_if_needed(self) -> None:
        if not getattr(self.steps.stepped_model, "peft_config", None):  # else its adapter is copied
            self.write()

    # The logits.

    def write(self) -> None:
        """Writes the logits, unless no step was taken since they were written."""
        model, taken = self.steps.stepped_model, len(self.steps.taken)
        if model is None or taken == self._written_after:
            return
        self._written_after = taken
        rows = [ids for ids, _ in self.texts.examples] or list(self.texts.unlabelled)
        training = model.training
        model.eval()
        try:
            [logits] = compute_logits(model, choose_rows(rows, model.config.vocab_size))
        except Exception:  # noqa: BLE001  # the forward takes other arguments
            return
        finally:
            model.train(training)
        self.writer.tensors("trained_logits", {"logits": logits})
