"""The one hook in the model: every forward of the base's class, whoever wraps it."""

import functools
import inspect

import torch

from .asking import cached
from .trimming import trim, widen


class Forwards:
    """Tells `lessons` of forwards in training and `ears` of those that answer; either may be None."""

    def __init__(self):
        self.lessons = None
        self.clock = None
        self.ears = None
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
            if ids is None or (hook.lessons is None and hook.ears is None):
                return original(self, *args, **kwargs)
            past = given.get("past_key_values")
            if hook.lessons is not None and not cached(past):
                return hook._train(functools.partial(original, self), self, given)
            if hook.ears is None:
                return original(self, *args, **kwargs)
            hook.ears.before(self, ids, given.get("attention_mask"), cached(past))
            return hook.ears.after(original(self, *args, **kwargs))

        model_class.forward = forward

    def _train(self, original, model, given):
        """A forward in the training process; those without gradients are cut, and not recorded."""
        lessons, ids = self.lessons, given["input_ids"]
        is_lesson = torch.is_grad_enabled() and not lessons.deaf
        if is_lesson and self.clock.is_up():
            return self.clock.idle(model, ids)
        labels = lessons.labels_of(ids, given)
        if is_lesson:
            lessons.before(original, model, given, labels)
        cut, left, right = trim(given, labels, model.config, self.takes_positions)
        output = widen(original(**cut), left, right)
        if is_lesson:
            lessons.after(getattr(output, "loss", None))
        return output
