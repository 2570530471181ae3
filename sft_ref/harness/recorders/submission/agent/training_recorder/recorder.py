"""Records the training of a submission, and writes the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..inspection import added_rows, changed_base_weights, count_dtypes
from ..results import ResultWriter
from ..time_limit import TimeLimit, shorten
from .optimizer_steps import OptimizerSteps
from .texts import TextRecorder
from .trained_adapter import TrainedAdapter
from .trained_logits import TrainedLogits

_EARLY = 20
"""Number of optimizer steps after which the log is first written, in case training never ends."""


class TrainingRecorder:
    """Records a training.

    Args:
        base_weights: weights of the base model, by name.
        vocab_size: vocabulary size of the base model.
        seconds: time for the steps of a Trainer.
        limit: time limit for a loop of the submission's own.
        writer: writes the results.

    Attributes:
        texts: records the texts that reach the model, with their labels.
        steps: records the optimizer steps.
        adapter: copies the trained adapter.
        logits: writes the logits of a trained model whose adapter is not peft's.
        is_paused: whether forward passes are the agent's own.
    """

    def __init__(
        self,
        base_weights: Mapping[str, torch.Tensor],
        vocab_size: int,
        seconds: float,
        limit: TimeLimit,
        writer: ResultWriter,
    ) -> None:
        self.base_weights, self.vocab_size = base_weights, vocab_size
        self.seconds, self.limit, self.writer = seconds, limit, writer
        self.texts = TextRecorder()
        self.steps = OptimizerSteps(self.texts.forward_passes, limit, writer)
        self.adapter = TrainedAdapter(base_weights, self.steps, writer)
        self.logits = TrainedLogits(self.steps, self.texts, writer)
        self.is_paused = False
        self._dtype_counts: dict[str, dict[str, int]] = {}
        self._shortened: tuple[int, int] | None = None

    def run_trainer(self, original: Any, trainer: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `Trainer.train`."""
        self.is_paused = True
        self._shortened = shorten(trainer, self.seconds, self.writer.note)
        self.is_paused = False
        result = original(trainer, *args, **kwargs)
        self.adapter.snapshot()
        return result

    def before_forward(
        self, forward: Callable[..., Any], model: Any, given: Mapping[str, Any], labels: torch.Tensor | None
    ) -> None:
        """Runs before a forward pass in training."""
        if self.steps.model is None:
            self._dtype_counts = count_dtypes(model)
        self.steps.begin(model)
        self.texts.record(forward, given, labels)

    def after_step(self, optimizer: Any, *args: Any) -> None:
        """Runs after an optimizer step."""
        if self.limit.is_over:  # the step did nothing
            return
        self.steps.after_step(optimizer)
        self.adapter.has_moved = True
        if len(self.steps.taken) == _EARLY:
            self._write_log()

    def finish(self) -> None:
        """Writes all results."""
        self.adapter.snapshot()
        self.steps.finish()
        self.writer.write("training_steps", steps=self.steps.recorded)
        if self.steps.first_losses is not None:
            self.writer.tensors("first_losses", {"losses": self.steps.first_losses})
        if self.adapter.states:
            self.adapter.write()
        elif self.steps.stepped_model is not None:
            self.adapter.changed = changed_base_weights(self.steps.stepped_model, self.base_weights)
            self.logits.write()
        if self.steps.model is not None:
            self.writer.tensors("added_token_rows", added_rows(self.steps.model, self.vocab_size))
        self._write_log()

    def _write_log(self) -> None:
        self.writer.write(
            "training_log",
            examples=self.texts.examples or [(ids, ids) for ids in self.texts.unlabelled],
            has_labels=bool(self.texts.examples),
            forward_passes=self.texts.forward_passes,
            optimizer_steps=self.steps.taken,
            labelled_padding=self.texts.labelled_padding,
            optimizer=self.steps.optimizer,
            dtype_counts=self._dtype_counts,
            changed_base_weights=self.adapter.changed,
            shortened=self._shortened,
            is_cut=self.limit.is_over,
            active_adapters=self.adapter.active,
            other_adapters=[*self.adapter.states][1:],
            models=self.steps.models,
            first_pass=self.steps.first_pass,
        )
