"""Finds the model in training, and divides the recorded events into optimizer steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.training import RecordedStep, RecordedTraining
from sft_ref.harness.instruments.generation_recorder import UntrackableGeneration, find_transformer
from sft_ref.harness.instruments.steps.evaluation_mode import evaluation_mode
from sft_ref.harness.instruments.steps.step_recorder import StepRecorder

from .batches import BatchRecorder, labelled_losses


@contextlib.contextmanager
def record_training(texts: Sequence[TrainingExample], steps: int) -> Iterator[Callable[[], RecordedTraining | None]]:
    """Records the training of one model within the block; yields a function that returns the record.

    The record is None if no torch optimizer steps on tensors of a transformers model.

    Args:
        texts: training data, as they reach the model.
        steps: planned number of optimizer steps; determines which steps are sampled.
    """
    recorder = _Recorder(texts, steps)
    try:
        recorder.hooks.callback(register_optimizer_step_pre_hook(recorder.before_step).remove)
        recorder.hooks.callback(register_optimizer_step_post_hook(recorder.after_step).remove)
        recorder.search = register_module_forward_pre_hook(recorder.find_model)
        recorder.hooks.callback(recorder.search.remove)
        yield recorder.result
    finally:
        recorder.end()


class _Recorder:
    def __init__(self, texts: Sequence[TrainingExample], steps: int) -> None:
        self.hooks = contextlib.ExitStack()
        self.search: Any = None
        self._planned = steps
        self._number_of_rows = len(texts)
        self._batches = BatchRecorder(texts)
        self._step: StepRecorder | None = None
        self._transformer: Any = None
        self._steps: list[RecordedStep] = []
        self._has_begun = False
        self._first_losses: torch.Tensor | None = None

    def find_model(self, module: torch.nn.Module, _args: object) -> None:
        """Attaches to the first training module that contains a transformer; runs before each forward until then."""
        if not (torch.is_grad_enabled() and module.training):
            return
        with contextlib.suppress(UntrackableGeneration):
            transformer = find_transformer(module)
            self._transformer = transformer
            self._step = StepRecorder(module, transformer, planned=self._planned)
            self.search.remove()
            # hook the decoder: peft's forward bypasses that of the model around it
            decoder = transformer.base_model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
            head = transformer.get_output_embeddings().register_forward_hook(self._after_head)
            self.hooks.callback(decoder.remove)
            self.hooks.callback(head.remove)

    def _before_forward(self, decoder: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not (torch.is_grad_enabled() and decoder.training):
            return
        self._close()
        is_sampled = False
        if self._step is not None:
            if self._step.begin():
                self._batches.take()
            is_sampled = self._step.is_sampled
        ids = kwargs.get("input_ids", args[0] if args else None)
        self._batches.before_forward(ids, kwargs.get("attention_mask"), is_sampled=is_sampled)
        if not self._has_begun:
            self._has_begun = True
            self._first_losses = self._measure_first_losses(decoder, args, kwargs)

    def _measure_first_losses(
        self,
        decoder: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> torch.Tensor | None:
        """Computes the first batch's labelled losses, with the arguments of the forward pass but in evaluation mode.

        Evaluation mode excludes dropout, and noise that is added to embeddings only in training.
        """
        batch, transformer = self._batches.first, self._transformer
        if batch is None or transformer is None or kwargs.get("past_key_values") is not None:
            return None
        with evaluation_mode(decoder), torch.no_grad():
            logits = transformer.get_output_embeddings()(decoder(*args, **kwargs)[0])
        return labelled_losses(logits, batch)

    def _after_head(self, _head: object, _args: object, logits: torch.Tensor) -> None:
        if torch.is_grad_enabled():
            self._batches.after_head(logits)

    def before_step(self, optimizer: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        """Runs before a step of any optimizer."""
        if self._step is not None:
            self._step.before_step(optimizer)

    def after_step(self, optimizer: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        """Runs after a step of any optimizer."""
        if self._step is not None:
            self._step.after_step(optimizer)

    def _close(self) -> None:
        """Ends a step: at the first forward pass of the next one, or at the end."""
        if self._step is not None and (fields := self._step.close()):
            self._steps.append(RecordedStep(**self._batches.take(), **fields))

    def end(self) -> None:
        """Removes all hooks."""
        self._close()
        self.hooks.close()
        if self._step is not None:
            self._step.remove_hooks()

    def result(self) -> RecordedTraining | None:
        """Returns the record."""
        if not self._steps:
            return None
        return RecordedTraining(
            tuple(self._steps),
            self._number_of_rows,
            first_batch=self._batches.first,
            first_losses=self._first_losses,
        )
