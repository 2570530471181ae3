"""The only hook in the model: intercepts every forward pass of the base model's class, under any wrapper."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from ....instruments.scripted.model_inputs import cache_length
from ....instruments.scripted.tracked_rows import GenerationRecorder
from .batches import trim, widen
from .time_limit import TimeLimit
from .training_recorder.recorder import TrainingRecorder


class Forwards:
    """Routes forward passes in training to `training_recorder`, others to `generation_recorder`.

    Attributes:
        training_recorder: recorder of the training; None if no training is recorded.
        time_limit: time limit of that training.
        generation_recorder: recorder of generations; None if none are recorded.
        generating_model: model that generated last.
        autocast: dtype of the autocast that it generated under; None if there was none.
    """

    def __init__(self) -> None:
        self.training_recorder: TrainingRecorder | None = None
        self.time_limit: TimeLimit | None = None
        self.generation_recorder: GenerationRecorder | None = None
        self.generating_model: Any = None
        self.autocast: torch.dtype | None = None
        self.takes_positions = True

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps the forward method of the base model's class, to record its calls."""
        names = list(inspect.signature(original).parameters)[1:]
        self.takes_positions = "position_ids" in names

        @functools.wraps(original)
        def forward(model: Any, /, *args: Any, **kwargs: Any) -> Any:
            given = dict(zip(names, args, strict=False), **kwargs)
            ids, cache = given.get("input_ids"), given.get("past_key_values")
            if ids is not None and self.training_recorder is not None and not cache_length(cache):
                return self._train(self.training_recorder, functools.partial(original, model), model, given)
            if ids is None or self.generation_recorder is None:
                return original(model, *args, **kwargs)
            self.generating_model, kind = model, ids.device.type
            self.autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
            self.generation_recorder.before(ids, given.get("attention_mask"), cache)
            output = original(model, *args, **kwargs)
            if getattr(output, "logits", None) is not None:
                output.logits = self.generation_recorder.after(output.logits)
            return output

        return forward

    def _train(self, recorder: TrainingRecorder, original: Any, model: Any, given: dict[str, Any]) -> Any:
        """Runs a forward pass in the training process; passes without gradients are cut, but not recorded."""
        ids = given["input_ids"]
        is_training_step = torch.is_grad_enabled() and not recorder.is_paused
        if is_training_step and self.time_limit is not None and self.time_limit.check():
            return self.time_limit.make_empty_output(model, ids)
        labels = recorder.texts.find_labels(ids, given)
        if is_training_step:
            recorder.before_forward(original, model, given, labels)
        cut, left, right = trim(given, labels, model.config, takes_positions=self.takes_positions)
        if is_training_step:
            recorder.steps.record_first_losses(original, model, cut)
        output = widen(original(**cut), left, right)
        if is_training_step:
            recorder.texts.after_forward(getattr(output, "loss", None))
        return output
