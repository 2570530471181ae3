"""Evidence of the tokens and train stages: the texts that reach the model in training, and the trained adapter."""

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
        distinct: number of distinct texts that reached the model.
        are_unlabelled: whether no token of these texts has a label.
        texts: texts that contain a question of the data.
        added: ids of tokens that the base model's tokenizer lacks.
        used_rows: embedding rows of added tokens that the texts use, counted from the end of the base model's
            embedding.
        base_rows: number of embedding rows of the base model.
        labelled: whether labels were observed; None if that is unknown.
        padding_labelled: number of padding positions with a label.
        data: number of questions in the training data.
        form: format of the texts; None if unknown.
        unlabelled_lead: number of tokens between the prompt that is sent and the first label, in most texts.
        tokenizer: properties of the base model's tokenizer.
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
    """One optimizer step: its learning rate, and its number of texts."""

    rate: float
    texts: int


@dataclass(frozen=True)
class Training:
    """The training process and its result.

    Attributes:
        crash: the exception that ended training.
        process: how the training process ended.
        steps: the optimizer steps.
        losses: losses that the model reports, one for each forward pass.
        optimized: number of tensors in the optimizer.
        dtypes: dtypes of the base model's parameters.
        bases: maps each model name that training requests to the model of known size that is meant.
        changed: base model parameters that training changes; None if they were not compared.
        active: names of the adapters that are active at the end.
        adapter: tensors in memory at the end; empty if there is no peft adapter.
        scale: the configuration values that determine the scaling of these tensors.
        is_custom_lora: whether the trained weights are not a peft adapter, and are known by their logits only.
        has_finite_logits: whether the trained model's logits on training texts are finite; None if they are unknown.
        fall: text that says how much more likely training makes the supervised tokens of its texts.
        has_moved: whether training had any effect.
        has_learned: whether the trained adapter answers fresh questions when asked by the reference.
        is_endless: whether these answers are right, but rarely end, although the end token has a label.
        models: number of models that are trained, one after another or alternately.
        is_cut: whether the time limit of a grading ends the training before its schedule ends.
        recorded: the recorded optimizer steps, in their order; None if they were not recorded.
        first_losses: losses at the first step; None if unknown.
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
    is_endless: bool = False
    models: int = 1
    is_cut: bool = False
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
    """One recorded optimizer step.

    Attributes:
        rate: the learning rate, the largest of all parameter groups.
        rows: rows of the batches, as indices into the training data; None for a text that is not in them. For a
            submission, indices into the distinct texts that reach the model.
        loss: None if logits and labels do not match.
        gradient_scale: the gradient at the logits, as a multiple of the gradient of the mean cross-entropy; None if the
            step is not in the sample.
        trained: names of the tensors that require a gradient.
        outside: tensors among `trained` that are in no optimizer.
        stale: optimized tensors whose gradient contains that of an earlier step.
        dropped: optimized tensors that lost the gradient of an earlier backward pass of the same step.
        idle: adapted modules that have no gradient, or that the step leaves unchanged.
        decay: norm of the weight decay, relative to the norm of the step without it.
        clipping: norm of the gradient in the optimizer, relative to that of the backward pass; None if the step is not
            in the sample.
        clipped: norm of the gradient in the optimizer.
        dtypes: dtype of the first output of each module; None if the step is not in the sample.
        betas: the different pairs of betas of the parameter groups, as Adam has them.
    """

    rate: float
    rows: tuple[int | None, ...]
    loss: StepLoss | None
    gradient_scale: float | None
    trained: frozenset[str]
    outside: tuple[str, ...]
    stale: tuple[str, ...]
    dropped: tuple[str, ...]
    idle: tuple[str, ...]
    decay: float
    clipping: float | None
    clipped: float
    dtypes: Mapping[str, str] | None
    betas: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class TrainingSteps:
    """The optimizer steps of a training.

    Attributes:
        steps: the steps in their order, at least one.
        number_of_rows: number of rows in the training data; for a submission, number of distinct texts that reach the
            model.
        planned: number of requested steps; None if unknown.
        is_cut: whether the time limit of a grading ends the training before its schedule ends.
    """

    steps: tuple[RecordedStep, ...]
    number_of_rows: int
    planned: int | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class FirstLosses:
    """Cross-entropy of each labelled token of the first batch, in nat, shape (tokens,).

    Attributes:
        observed: losses of the model in training, in evaluation mode, before its first step.
        expected: losses of the base model.
        dtypes: names of the dtypes in which the first step computes.
    """

    observed: torch.Tensor
    expected: torch.Tensor
    dtypes: frozenset[str]


@dataclass(frozen=True)
class RecordedTraining(TrainingSteps):
    """The optimizer steps of a training in this process, and its first batch.

    Attributes:
        first_batch: the first batch that reaches the model, with the labels of its texts; None if unknown.
        first_losses: cross-entropy of each labelled token of that batch, by the model in evaluation mode; None if the
            model cannot be called in that mode.
    """

    first_batch: Batch | None = None
    first_losses: torch.Tensor | None = None
