"""Records the training process: the batches that reach the model, and each optimizer step."""

from .recorder import record_training

__all__ = ["record_training"]
