"""The one hook in the model: every forward of the base's class, whoever wraps it."""

import functools
import inspect

import torch

from .asking import cached
from .padding import trim, widen


class Forwards:
    """Passes forwards in training to `training_recorder`, others to `generation_recorder`; either may be None."""

    def __init__(self):
        self.training_recorder = None
        self.clock = None
        self.generation_recorder = None
        self.takes_positions = True

    def install(self, model_class):
        """Wraps the forward of the class, since peft calls it past the instance."""
        original = model_class.forward
        names = list(inspect.signature(original).parameters)[1:]
        hook = self
        self.takes_positions = "position_ids" in names

        @functools.wraps(original)
        def forward(self, *args, **kwargs):
            given = dict(zip(names, args), **kwargs)
            ids = given.get("input_ids")
            if ids is None or (hook.training_recorder is None and hook.generation_recorder is None):
                return original(self, *args, **kwargs)
            past = given.get("past_key_values")
            if hook.training_recorder is not None and not cached(past):
                return hook._train(functools.partial(original, self), self, given)
            if hook.generation_recorder is None:
                return original(self, *args, **kwargs)
            hook.generation_recorder.before(self, ids, given.get("attention_mask"), cached(past))
            return hook.generation_recorder.after(original(self, *args, **kwargs))

        model_class.forward = forward

    def _train(self, original, model, given):
        """A forward in the training process; those without gradients are cut, and not recorded."""
        training_recorder, ids = self.training_recorder, given["input_ids"]
        is_training_step = torch.is_grad_enabled() and not training_recorder.deaf
        if is_training_step and self.clock.is_up():
            return self.clock.idle(model, ids)
        labels = training_recorder.labels_of(ids, given)
        if is_training_step:
            training_recorder.before(original, model, given, labels)
        cut, left, right = trim(given, labels, model.config, self.takes_positions)
        output = widen(original(**cut), left, right)
        if is_training_step:
            training_recorder.after(getattr(output, "loss", None))
        return output
