"""The tokens and train stages: the texts that reach the model in training, and what training leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.core.implementation import Batch

from .processes import Crash, Process
from .texts import Form, Ids, Tokenizer, TrainingText


@dataclass(frozen=True)
class Examples:
    """The training examples.

    Attributes:
        distinct: how many texts reached the model.
        are_unlabelled: whether none of their tokens carries a label.
        texts: those that hold a question of the data.
        added: tokens that the base's tokenizer lacks.
        used_rows: rows of the embedding of added tokens that the texts use, counted from the end of the base's.
        base_rows: rows of the base's embedding.
        labelled: whether labels were seen; None where that is not known.
        padding_labelled: positions of padding that carry a label.
        data: how many questions the training data have.
        form: how they are written; None where that is not known.
        unlabelled_lead: tokens between the prompt that is sent and the first label, in most texts.
        tokenizer: the base's.
    """

    distinct: int
    are_unlabelled: bool
    texts: tuple[TrainingText, ...]
    added: Ids
    used_rows: Ids
    base_rows: int
    labelled: bool | None
    padding_labelled: int
    data: int
    form: Form | None
    unlabelled_lead: int
    tokenizer: Tokenizer


@dataclass(frozen=True)
class OptimizerStep:
    """One optimizer step: its rate, and how many texts it shows."""

    rate: float
    texts: int


@dataclass(frozen=True)
class Training:
    """What training does and leaves.

    Attributes:
        crash: the exception that ends it.
        process: how its process ended.
        steps: of the optimizer.
        losses: as the model reports them, one a forward.
        optimized: tensors that the optimizer has.
        dtypes: of the base's parameters.
        bases: names of models that it asks for -> the model of known size that is meant.
        changed: parameters of the base that it changes; None where they were not compared.
        active: names of the adapters that are active at the end.
        adapter: tensors in memory at the end; empty where there is no adapter of peft's.
        scale: what its configuration says of the factor of its tensors.
        is_custom_lora: whether what was trained is no adapter of peft's, and is known by its logits alone.
        has_finite_logits: of the model that training left, on training texts; None where they are not known.
        fall: how much likelier it makes what its texts teach, in words.
        has_moved: whether it had any effect.
        has_learned: whether what it left answers fresh questions, asked by the reference.
        models: how many models are trained, one after the other or in turn.
        recorded: its steps, as they were recorded one after the other; None where they were not.
        first_losses: at the first step; None where they are not known.
    """

    crash: Crash | None
    process: Process
    steps: tuple[OptimizerStep, ...]
    losses: tuple[float, ...]
    optimized: int
    dtypes: frozenset[str]
    bases: Mapping[str, str]
    changed: tuple[str, ...] | None
    active: tuple[str, ...]
    adapter: Mapping[str, torch.Tensor]
    scale: Mapping[str, Any]
    is_custom_lora: bool
    has_finite_logits: bool | None
    fall: str
    has_moved: bool
    has_learned: bool
    models: int = 1
    recorded: TrainingSteps | None = None
    first_losses: FirstLosses | None = None


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
        rows: of its batches, as indices into the training data; None for a text that is not in them. Of a submission,
            indices of the texts that reach the model, each text once.
        loss: None if logits and labels do not match.
        gradient_scale: the gradient at the logits, as a multiple of the gradient of the mean cross-entropy; None if the
            step is not in the sample.
        trained: names of the tensors that require a gradient.
        outside: those that no optimizer has.
        stale: those that an optimizer has whose gradient contains that of an earlier step.
        idle: adapted modules without a gradient, or which the step leaves unchanged.
        decay: length of the weight decay, as a share of the step without it.
        clipping: length of the gradient in the optimizer, as a share of the gradient of the backward pass; None if the
            step is not in the sample.
        clipped: length of the gradient in the optimizer.
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
    clipped: float
    dtypes: Mapping[str, str] | None


@dataclass(frozen=True)
class TrainingSteps:
    """The optimizer steps of a training.

    Attributes:
        steps: in their order, at least one.
        number_of_rows: how many rows the training data have; of a submission, how many texts reach the model.
        planned: how many steps were asked for; None where that is not known.
    """

    steps: tuple[RecordedStep, ...]
    number_of_rows: int
    planned: int | None = None


@dataclass(frozen=True)
class FirstLosses:
    """Cross-entropy, in nat, of each labelled token of the first batch: (tokens,).

    Attributes:
        observed: by the model that is trained, in evaluation mode, before its first step.
        expected: by the base.
        dtypes: names of the dtypes in which the first step computes.
    """

    observed: torch.Tensor
    expected: torch.Tensor
    dtypes: frozenset[str]


@dataclass(frozen=True)
class RecordedTraining(TrainingSteps):
    """The optimizer steps of a training in this process, and how it begins.

    Attributes:
        first_batch: the first batch that reaches the model, with the labels of its texts; None if they are not known.
        first_losses: of that batch, cross-entropy of each labelled token by the model in evaluation mode; None if it
            cannot be called so.
    """

    first_batch: Batch | None = None
    first_losses: torch.Tensor | None = None
