"""Records the training and its result in memory."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import Batch, Implementation, TrainingResult
from sft_ref.harness.core.training_examples import TrainingExample, examples_of
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.in_process.trained_parts import LogitsPair, LossesBeforeAndAfter
from sft_ref.harness.evidence.training import FirstLosses, RecordedTraining
from sft_ref.harness.evidence.views import BaseWeights
from sft_ref.harness.instruments.deltas import expected_deltas, init_deltas_of, merged, shared_rows
from sft_ref.harness.instruments.losses import forward, row_losses, token_losses
from sft_ref.harness.instruments.token_rows import extend_vocabulary
from sft_ref.harness.recorders.in_process.calls import call, training_batch
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
"""Maximum number of training rows whose losses are compared."""


@dataclass(frozen=True)
class TrainingRun:
    """A training, and the record of its optimizer steps; None if the training was made elsewhere."""

    result: TrainingResult
    steps: RecordedTraining | None


def training_run(
    implementation: Implementation, folder: Path, task: Task, settings: Settings, given_training: TrainingResult | None
) -> TrainingRun:
    """Runs the implementation's training on the rows of the task, unless a training is given."""
    if given_training is not None:
        return TrainingRun(given_training, None)
    texts: list[TrainingExample] = []
    with contextlib.suppress(Failure):  # reported by the checks of the tokens
        texts = examples_of(training_batch(implementation, task.train_rows))
    with record_training(texts, settings.steps) as recorded:
        trained = call(implementation.train, folder / "adapter", task.train_rows, settings)
    if steps := recorded():
        steps = replace(steps, planned=(trained.settings or settings).steps)
    if task.is_own:
        probes = training_batch(implementation, task.probes)
        logits = None if trained.forward is None else call(trained.forward, probes).cpu()
        trained = replace(trained, logits=logits, forward=None)  # `forward` holds the model
    return TrainingRun(trained, steps)


def stored(training_run: TrainingRun, folder: Path) -> Path:
    """Copies the adapter's folder as training left it, before loading can overwrite it."""
    copy = folder / "as_trained"
    if training_run.result.folder.is_dir():
        shutil.copytree(training_run.result.folder, copy)
    return copy


def trained(training_run: TrainingRun) -> TrainingResult:
    """Returns the result of `train`."""
    return training_run.result


def training_steps(training_run: TrainingRun) -> RecordedTraining | None:
    """Returns the optimizer steps of the training."""
    return training_run.steps


def frozen(trained: TrainingResult, training_run: TrainingRun) -> frozenset[str]:
    """Returns tensors of the adapter that training froze from its first step, by their names in the base model."""
    if training_run.steps is None:
        return frozenset()
    return frozenset(map(plain, trained.adapter)) - frozenset(map(plain, training_run.steps.steps[0].trained))


def extended_base(implementation: Implementation, trained: TrainingResult) -> PreTrainedModel:
    """Loads the base model in fp32, independently of the implementation; not to be changed.

    It has the rows that the target adds to its embeddings, and saves.
    """
    model = load_model(find_base(implementation.base), POLICIES["fp32"])
    extend_vocabulary(model, trained.adapter)
    model.eval()
    return model


def embedding_rows(extended_base: PreTrainedModel) -> int:
    """Returns the number of tokens that have an embedding in the base or the adapter."""
    embedding: Any = extended_base.get_input_embeddings()
    return len(embedding.weight)


def base_model(extended_base: PreTrainedModel, embedding_rows: int, examples: list[TrainingExample]) -> PreTrainedModel:
    """Returns `extended_base`.

    Raises:
        Blocked: it cannot compute the training texts.
    """
    if any(max(row.ids) >= embedding_rows for row in examples):
        raise Blocked("a token of the training texts has no embedding: TOK-014 reports it")
    return extended_base


def starts(trained: TrainingResult, stored: Path, base_model: PreTrainedModel) -> Mapping[str, torch.Tensor]:
    """Returns the parts that the adapter's initialisation took from the base model, by module."""
    return call(init_deltas_of, trained, stored, base_model)


def deltas(trained: TrainingResult, stored: Path, base_model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Returns the deltas that training adds to each Linear's weight, by module of the base model."""
    return expected_deltas(trained, stored, base_model)


def delta_norms(deltas: dict[str, torch.Tensor]) -> dict[str, float]:
    """Returns the norms of the deltas."""
    return {name: delta.norm().item() for name, delta in deltas.items()}


def trained_model(
    base_model: PreTrainedModel, trained: TrainingResult, deltas: dict[str, torch.Tensor], stored: Path
) -> PreTrainedModel:
    """Merges the training result into the base model in fp32, by the harness, to exclude saving and loading faults."""
    return merged(base_model, trained, deltas, stored)


def fresh_batch(implementation: Implementation, task: Task) -> Batch:
    """Returns rows that no training has seen, as they would reach training."""
    return training_batch(implementation, task.fresh_rows)


def fresh_losses(
    base_model: PreTrainedModel, trained_model: PreTrainedModel, fresh_batch: Batch
) -> LossesBeforeAndAfter:
    """Computes losses of the true answers of rows that no training has seen."""
    return LossesBeforeAndAfter(row_losses(base_model, fresh_batch), row_losses(trained_model, fresh_batch))


def losses_before_and_after(
    implementation: Implementation,
    task: Task,
    base_model: PreTrainedModel,
    trained_model: PreTrainedModel,
    fresh_losses: LossesBeforeAndAfter,
) -> list[LossesBeforeAndAfter]:
    """Computes losses of fresh rows, and for user rows also of training rows: few rows do not teach unseen answers."""
    if not task.is_own:
        return [fresh_losses]
    seen = training_batch(implementation, task.train_rows[-_SEEN:])
    return [fresh_losses, LossesBeforeAndAfter(row_losses(base_model, seen), row_losses(trained_model, seen))]


def first_losses(training_run: TrainingRun, base_model: PreTrainedModel) -> FirstLosses:
    """Pairs the losses of the first training batch with those of the base model.

    Raises:
        Unavailable: the first batch is unknown, or its forward cannot be repeated.
    """
    steps = training_run.steps
    if steps is None or steps.first_batch is None or steps.first_losses is None:
        raise Unavailable("the first batch is unknown, or its forward cannot be repeated")
    batch = steps.first_batch
    labelled = batch.labels[:, 1:] != IGNORE_INDEX
    of_base = token_losses(forward(base_model, batch), batch.labels)[labelled]
    from_text = batch.attention_mask[:, :-1].bool()[labelled]  # predictions from padding are meaningless
    dtypes = frozenset((steps.steps[0].dtypes or {}).values())
    return FirstLosses(steps.first_losses[from_text], of_base[from_text], dtypes)


def comparable(trained: TrainingResult, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the logits at the end of training for the tokens of a batch, and the mask of these tokens.

    Raises:
        Unavailable: the implementation did not provide logits of this batch.
    """
    if trained.logits is None:
        raise Unavailable("the logits at the end of training are unknown: give TrainingResult.logits, or forward")
    seen = batch.attention_mask.bool()
    if trained.logits.shape[:2] != seen.shape:
        raise Unavailable("the logits at the end of training are those of another batch")
    return trained.logits[seen], seen


def final_logits(trained: TrainingResult, batch: Batch, trained_model: PreTrainedModel) -> LogitsPair:
    """Pairs the logits at the end of training with those of the base model plus the trained deltas.

    Tokens that only one of them has are left out: rows that are added to an embedding, and not saved, are in no file.
    """
    found, seen = comparable(trained, batch)
    due = forward(trained_model, batch).float().cpu()[seen]
    return LogitsPair(*(each.T for each in shared_rows(found.T, due.T)))


def base_weights(trained: TrainingResult) -> BaseWeights:
    """See `views`."""
    return BaseWeights(trained.changed, frozenset(map(plain, trained.adapter)))
