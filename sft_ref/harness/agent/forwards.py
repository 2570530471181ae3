"""The one hook in the model: every forward of the base's class, whoever wraps it."""

import functools
import inspect

import torch

from .asking import cached


class Forwards:
    """Tells `lessons` of forwards in training and `ears` of those that answer; either may be None."""

    def __init__(self):
        self.lessons = None
        self.clock = None
        self.ears = None

    def install(self, model_class):
        """Wraps the forward of the class, since peft calls it past the instance."""
        original = model_class.forward
        names = list(inspect.signature(original).parameters)[1:]
        hook = self

        @functools.wraps(original)
        def forward(self, *args, **kwargs):
            given = dict(zip(names, args), **kwargs)
            ids = given.get("input_ids")
            if ids is None or (hook.lessons is None and hook.ears is None):
                return original(self, *args, **kwargs)
            past = given.get("past_key_values")
            if hook.lessons is not None and not hook.lessons.deaf and torch.is_grad_enabled() and not cached(past):
                if hook.clock.is_up():
                    return hook.clock.idle(self, ids)
                hook.lessons.before(self, ids, given.get("attention_mask"), given.get("labels"))
                output = original(self, *args, **kwargs)
                hook.lessons.after(getattr(output, "loss", None))
                return output
            if hook.ears is None:
                return original(self, *args, **kwargs)
            hook.ears.before(self, ids, given.get("attention_mask"), cached(past))
            return hook.ears.after(original(self, *args, **kwargs))

        model_class.forward = forward
