"""Records the process of training: the batches that reach the model, and each step of the optimizer."""

from .recorder import record_training

__all__ = ["record_training"]
