"""The process of training: what was observed at each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sft_ref.harness.core.implementation import Batch


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step, computed by the recorder from the logits and the labels.

    Attributes:
        mean: cross-entropy, in nat, over all labelled tokens of the step.
        uniform: cross-entropy against the uniform distribution over the vocabulary, as label smoothing mixes it in.
    """

    mean: float
    uniform: float

    def smoothed(self, label_smoothing: float) -> float:
        """The cross-entropy under label smoothing."""
        return (1 - label_smoothing) * self.mean + label_smoothing * self.uniform


@dataclass(frozen=True)
class RecordedStep:
    """One optimizer step.

    Attributes:
        rate: the learning rate, the largest of all parameter groups.
        rows: of its batches, as indices into the training data; None for a text that is not in them.
        loss: None if logits and labels do not match.
        gradient_scale: the gradient at the logits, as a multiple of the gradient of the mean cross-entropy; None if the
            step is not in the sample.
        trained: names of the tensors that require a gradient.
        outside: those that no optimizer has.
        stale: those whose gradient contains that of an earlier step.
        idle: adapted modules without a gradient, or which the step leaves unchanged.
        decay: length of the weight decay, as a share of the step without it.
        clipping: length of the gradient in the optimizer, as a share of the gradient of the backward pass; None if the
            step is not in the sample.
        dtypes: of the first output of each module; None if the step is not in the sample.
    """

    rate: float
    rows: tuple[int | None, ...]
    loss: StepLoss | None
    gradient_scale: float | None
    trained: frozenset[str]
    outside: tuple[str, ...]
    stale: tuple[str, ...]
    idle: tuple[str, ...]
    decay: float
    clipping: float | None
    dtypes: Mapping[str, str] | None


@dataclass(frozen=True)
class TrainingSteps:
    """The optimizer steps of a training.

    Attributes:
        steps: in their order, at least one.
        number_of_rows: how many rows the training data have.
        first_batch: the first batch that reaches the model, with the labels of its texts; None if they are not known.
        first_loss: of that batch, computed from its logits; None if they do not match the labels.
    """

    steps: tuple[RecordedStep, ...]
    number_of_rows: int
    first_batch: Batch | None
    first_loss: float | None
