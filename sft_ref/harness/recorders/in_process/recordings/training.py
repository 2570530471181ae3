"""Records the training, and what it leaves in memory."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Batch, Implementation, TrainingResult
from sft_ref.harness.core.training_examples import TrainingExample, examples_of
from sft_ref.harness.evidence.in_process.trained_parts import LogitsPair, LossesBeforeAndAfter
from sft_ref.harness.evidence.training import FirstLosses, RecordedTraining
from sft_ref.harness.evidence.views import BaseWeights
from sft_ref.harness.instruments.deltas import due_deltas, merged, starts_of
from sft_ref.harness.instruments.losses import forward, row_losses, token_losses
from sft_ref.harness.recorders.in_process.calls import call
from sft_ref.harness.recorders.in_process.task import Task
from sft_ref.harness.recorders.in_process.training_recorder import record_training
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.guards.names import plain
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SEEN = 64
"""Rows of training at most whose losses are compared."""


@dataclass(frozen=True)
class TrainingRun:
    """A training, and what was recorded of its optimizer steps; None if it was made elsewhere."""

    result: TrainingResult
    steps: RecordedTraining | None


def training_run(
    implementation: Implementation, folder: Path, task: Task, settings: Settings, given_training: TrainingResult | None
) -> TrainingRun:
    """The implementation's training on the rows of the task, unless one is given."""
    if given_training is not None:
        return TrainingRun(given_training, None)
    texts: list[TrainingExample] = []
    with contextlib.suppress(Failure):  # checks of the tokens report it
        texts = examples_of(call(implementation.training_batch, task.train_rows))
    with record_training(texts, settings.steps) as recorded:
        trained = call(implementation.train, folder / "adapter", task.train_rows, settings)
    if steps := recorded():
        steps = replace(steps, planned=(trained.settings or settings).steps)
    if task.is_own:
        probes = call(implementation.training_batch, task.probes)
        logits = None if trained.forward is None else call(trained.forward, probes).cpu()
        trained = replace(trained, logits=logits, forward=None)  # which holds the model
    return TrainingRun(trained, steps)


def stored(training_run: TrainingRun, folder: Path) -> Path:
    """A copy of the adapter's folder as training left it, before anything can load it, and overwrite it."""
    copy = folder / "as_trained"
    if training_run.result.folder.is_dir():
        shutil.copytree(training_run.result.folder, copy)
    return copy


def trained(training_run: TrainingRun) -> TrainingResult:
    """What `train` gives."""
    return training_run.result


def training_steps(training_run: TrainingRun) -> RecordedTraining | None:
    """Its optimizer steps."""
    return training_run.steps


def frozen(trained: TrainingResult, training_run: TrainingRun) -> frozenset[str]:
    """Tensors of the adapter that training froze from its first step, by their names in the base."""
    if training_run.steps is None:
        return frozenset()
    return frozenset(map(plain, trained.adapter)) - frozenset(map(plain, training_run.steps.steps[0].trained))


def base_model(implementation: Implementation) -> PreTrainedModel:
    """The base in fp32, loaded by us; not to be changed."""
    model = load_model(find_base(implementation.base), POLICIES["fp32"])
    model.eval()
    return model


def starts(trained: TrainingResult, stored: Path, base_model: PreTrainedModel) -> Mapping[str, torch.Tensor]:
    """What the initialisation of the adapter took from the base, by module."""
    return call(starts_of, trained, stored, base_model)


def deltas(trained: TrainingResult, stored: Path, base_model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What training adds to each Linear's weight, by module of the base."""
    return due_deltas(trained, stored, base_model)


def delta_norms(deltas: dict[str, torch.Tensor]) -> dict[str, float]:
    """The norms of the deltas."""
    return {name: delta.norm().item() for name, delta in deltas.items()}


def trained_model(
    base_model: PreTrainedModel, trained: TrainingResult, deltas: dict[str, torch.Tensor]
) -> PreTrainedModel:
    """The base with what training left put into its weights, by us, in fp32: no saving or loading is at fault."""
    return merged(base_model, trained, deltas)


def fresh_batch(implementation: Implementation, task: Task) -> Batch:
    """Rows that no training has seen, as they would reach training."""
    return call(implementation.training_batch, task.fresh_rows)


def fresh_losses(
    base_model: PreTrainedModel, trained_model: PreTrainedModel, fresh_batch: Batch
) -> LossesBeforeAndAfter:
    """Of the true answers of rows that no training has seen."""
    return LossesBeforeAndAfter(row_losses(base_model, fresh_batch), row_losses(trained_model, fresh_batch))


def losses_before_and_after(
    implementation: Implementation,
    task: Task,
    base_model: PreTrainedModel,
    trained_model: PreTrainedModel,
    fresh_losses: LossesBeforeAndAfter,
) -> list[LossesBeforeAndAfter]:
    """Of fresh rows; of rows of one's own also of those of training: few rows teach no answer to other questions."""
    if not task.is_own:
        return [fresh_losses]
    seen = call(implementation.training_batch, task.train_rows[-_SEEN:])
    return [fresh_losses, LossesBeforeAndAfter(row_losses(base_model, seen), row_losses(trained_model, seen))]


def first_losses(training_run: TrainingRun, base_model: PreTrainedModel) -> FirstLosses:
    """Of the first batch of training, beside those of the base.

    Raises:
        Unavailable: the first batch is unknown, or its forward cannot be repeated.
    """
    steps = training_run.steps
    if steps is None or steps.first_batch is None or steps.first_losses is None:
        raise Unavailable("the first batch is unknown, or its forward cannot be repeated")
    batch = steps.first_batch
    labelled = batch.labels[:, 1:] != IGNORE_INDEX
    of_base = token_losses(forward(base_model, batch), batch.labels)[labelled]
    from_text = batch.attention_mask[:, :-1].bool()[labelled]  # what is predicted from padding means nothing
    dtypes = frozenset((steps.steps[0].dtypes or {}).values())
    return FirstLosses(steps.first_losses[from_text], of_base[from_text], dtypes)


def comparable(trained: TrainingResult, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits at the end of training for the tokens of a batch, and the mask of these tokens.

    Raises:
        Unavailable: the implementation did not give them.
    """
    if trained.logits is None:
        raise Unavailable("the logits at the end of training are unknown: give TrainingResult.logits, or forward")
    seen = batch.attention_mask.bool()
    if trained.logits.shape[:2] != seen.shape:
        raise Unavailable("the logits at the end of training are those of another batch")
    return trained.logits[seen], seen


def final_logits(trained: TrainingResult, batch: Batch, trained_model: PreTrainedModel) -> LogitsPair:
    """At the end of training, beside those of the base plus what was trained."""
    found, seen = comparable(trained, batch)
    return LogitsPair(found, forward(trained_model, batch).float().cpu()[seen])


def base_weights(trained: TrainingResult) -> BaseWeights:
    """See `views`."""
    return BaseWeights(trained.changed, frozenset(map(plain, trained.adapter)))
