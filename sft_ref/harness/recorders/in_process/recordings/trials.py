"""Records short trainings and single steps in addition to the main training, each for one question."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sft_ref.errors import SftRefError
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import (
    Answerer,
    Batch,
    Gradients,
    Implementation,
    Resumable,
    Trainables,
    TrainingResult,
)
from sft_ref.harness.core.paired import is_worse
from sft_ref.harness.core.training_examples import TrainingExample, examples_of
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.in_process.trained_parts import (
    AnswerLosses,
    ResumedTraining,
    SeededAdapters,
    StepGradients,
    WrittenFiles,
)
from sft_ref.harness.instruments.losses import row_losses
from sft_ref.harness.recorders.in_process.calls import ask_prompt, call, training_batch
from sft_ref.harness.recorders.in_process.reference_run import ReferenceRun, lora_of
from sft_ref.io.lora_config import CONFIG
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX

from .saved import read_saved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHORT_TRAINING = Settings(steps=2, batch_size=4, rank=4, alpha=6)
"""The shortest training that changes weights; its scaling, 1.5, is no integer."""

INTERRUPTED = Settings(steps=4, batch_size=4, rank=4, alpha=8)
"""A training of two epochs of the probes."""

INTERRUPTED_AFTER = 3
"""Optimizer steps; they end within the second epoch, where rows that are not skipped show."""


def _train_briefly(
    implementation: Implementation, folder: Path, task: Task, *, noise: int = 0, seed: int = 0, faster: float = 1.0
) -> TrainingResult:
    """Trains for two steps, after advancing the global random number generator."""
    torch.manual_seed(noise)
    settings = replace(SHORT_TRAINING, seed=seed, learning_rate=faster * SHORT_TRAINING.learning_rate)
    return call(implementation.train, folder, task.probes, settings)


def written_files(implementation: Implementation, folder: Path, task: Task) -> WrittenFiles:
    """Runs a training from an empty working directory."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(parents=True)
    asked_for = folder / "new folder, é" / "asked_for"
    with contextlib.chdir(elsewhere):
        _train_briefly(implementation, asked_for, task)
    stray = sorted(str(path.relative_to(elsewhere)) for path in elsewhere.rglob("*"))
    return WrittenFiles(tuple(stray), (asked_for / CONFIG).is_file())


def short_training(implementation: Implementation, folder: Path, task: Task) -> TrainingResult:
    """Runs a training of two steps, whose adapter differs from every other one."""
    return _train_briefly(implementation, folder / "seed_1", task, noise=1, seed=1)


def seeded_adapters(
    implementation: Implementation, folder: Path, task: Task, short_training: TrainingResult
) -> SeededAdapters:
    """Runs more trainings of two steps, with different global random states before each."""
    one = _train_briefly(implementation, folder / "seed_0", task, noise=1).adapter
    again = _train_briefly(implementation, folder / "seed_0_again", task, noise=2).adapter
    faster = _train_briefly(implementation, folder / "faster", task, noise=1, faster=3.0)
    return SeededAdapters(one, again, short_training.adapter, None if faster.settings else faster.adapter)


def step_gradients(implementation: Implementation, task: Task) -> StepGradients:
    """Records one step over the probes: whole, in four parts, and with recomputed activations.

    Raises:
        Unavailable: the implementation does not report gradients.
    """
    if not isinstance(implementation, Gradients):
        raise Unavailable("the gradients of a step are unknown: give the implementation a method gradients")
    work, probes = implementation.gradients, task.probes
    whole = call(work, probes, micro_batches=1, checkpointing=False)
    split = {
        "4 micro-batches": call(work, probes, micro_batches=4, checkpointing=False),
        "1 micro-batches, recomputed activations": call(work, probes, micro_batches=1, checkpointing=True),
    }
    return StepGradients(whole, split)


def trainable_dtypes(implementation: Implementation) -> Mapping[str, Mapping[str, torch.dtype]]:
    """Returns dtypes of the tensors that the optimizer would receive, by policy; needs no training and no GPU.

    Raises:
        Unavailable: the implementation does not report them.
    """
    if not isinstance(implementation, Trainables):
        raise Unavailable(
            "the tensors that each policy trains are unknown: give the implementation a method trainables"
        )
    return {policy: call(implementation.trainables, policy) for policy in POLICIES}


def resumed_training(implementation: Implementation, folder: Path, task: Task) -> ResumedTraining:
    """Runs a short training, and one that is interrupted within an epoch and resumed.

    Raises:
        Unavailable: the implementation cannot resume a training.
    """
    if not isinstance(implementation, Resumable):
        raise Unavailable("the implementation cannot resume a training: give it a method train_interrupted")
    undisturbed = call(implementation.train, folder / "whole", task.probes, INTERRUPTED)
    found = ResumedTraining(undisturbed.adapter, read_saved(undisturbed.folder), INTERRUPTED_AFTER)
    if not found.is_saved_as_trained:
        return found
    try:
        resumed = call(
            implementation.train_interrupted, folder / "resumed", task.probes, INTERRUPTED, after=INTERRUPTED_AFTER
        )
    except Failure as refusal:
        if not isinstance(refusal.__cause__, SftRefError):  # a crash gives no reason
            raise
        return replace(found, refusal=refusal.observed)
    return replace(found, resumed=resumed.adapter)


def reference_run(reference_run_source: object) -> ReferenceRun:
    """Returns a training of the reference to compare with.

    Raises:
        Unavailable: there is no reference run.
    """
    found = reference_run_source() if callable(reference_run_source) else reference_run_source
    if not isinstance(found, ReferenceRun):
        raise Unavailable("there is no reference run to compare with")
    return found


def answer_losses(
    *,
    implementation: Implementation,
    answerer: Answerer,
    task: Task,
    examples: list[TrainingExample],
    trained: TrainingResult,
    stored: Path,
    settings: Settings,
    reference_run: ReferenceRun,
    trained_model: PreTrainedModel,
    frozen: frozenset[str],
) -> AnswerLosses:
    """Compares answer losses with the shared reference training, and if needed with one under the same conditions.

    The new training has the same rows, settings, adapter configuration and label smoothing. It is made if there is no
    shared training, if the losses are worse than the shared ones, or with label smoothing. It is not made if the
    conditions equal those of the shared training, if another loss is declared, or if tensors of the adapter are frozen.
    Both trainings minimise the same loss: a declared label smoothing also applies to the new reference training.
    """
    batch = _targets_only(implementation, answerer, task)
    settings, smoothing = trained.settings or settings, trained.label_smoothing
    shared = None if smoothing else reference_run.losses  # smoothing has a loss floor that the shared training lacks
    found = AnswerLosses(row_losses(trained_model, batch), shared)
    if found.shared is not None and not is_worse(found.own, found.shared):
        return found
    if smoothing is None:
        return replace(found, unknown="training declares another loss than the reference's")
    if frozen:
        unknown = "tensors of the adapter are frozen: their random start decides what is learned"
        return replace(found, unknown=unknown)
    conditions = (examples, settings, call(lora_of, stored), smoothing)
    if found.shared is not None and conditions == reference_run.conditions:
        return found
    rows = examples_of(training_batch(implementation, task.train_rows))
    other = reference_run.train(rows, implementation.base, stored, settings, smoothing)
    return replace(found, same_conditions=row_losses(other, batch))


def _targets_only(implementation: Implementation, answerer: Answerer, task: Task) -> Batch:
    """Returns the batch of the fresh rows, with labels only after the prompt."""
    batch = training_batch(implementation, task.fresh_rows)
    labels = batch.labels.clone()
    for row, (question, _) in enumerate(task.fresh_rows):
        prompt = ask_prompt(answerer, question)
        labels[row, batch.attention_mask[row].nonzero().flatten()[: len(prompt)]] = IGNORE_INDEX
    return replace(batch, labels=labels)
