"""Records the stage load: the model loaded from the folder, before and after it has answered."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TrainingResult
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.in_process.trained_parts import (
    DeltaError,
    LogitsPair,
    LossesBeforeAndAfter,
    RotaryError,
    SecondLoad,
    WeightError,
)
from sft_ref.harness.evidence.views import FolderDigests, LoadedLosses, ModelDtypes
from sft_ref.harness.instruments import rotary
from sft_ref.harness.instruments.deltas import (
    effective_delta,
    effective_weight,
    expected_deltas,
    init_deltas_of,
    linears,
    shared_rows,
    why_not_mergeable,
)
from sft_ref.harness.instruments.generation_recorder import record_generation
from sft_ref.harness.instruments.losses import forward, row_losses
from sft_ref.harness.recorders.in_process.calls import call, fault_of
from sft_ref.harness.recorders.in_process.float16_toy import float16_toy
from sft_ref.reference.guards.dtypes import Dtypes, count_dtypes
from sft_ref.reference.guards.names import plain

from .training import comparable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LoadedRun:
    """The result of `load`, and a copy of its model made right after loading; None if it cannot be copied."""

    answerer: Answerer
    untouched: Any


def loaded_run(
    implementation: Implementation,
    trained: TrainingResult,
    stored: Path,  # noqa: ARG001  # loading may overwrite the folder
) -> LoadedRun:
    """Loads the saved adapter."""
    answerer = call(implementation.load, trained.folder)
    try:
        return LoadedRun(answerer, copy.deepcopy(answerer.model))
    except Exception:  # noqa: BLE001  # foreign modules need not be copyable to answer
        return LoadedRun(answerer, None)


def answerer(loaded_run: LoadedRun) -> Answerer:
    """Returns the loaded object that answers questions."""
    return loaded_run.answerer


def loaded_model(loaded_run: LoadedRun) -> Any:  # noqa: ANN401  # any result of `load`
    """Returns the model as `load` left it, before answering could change it.

    Raises:
        Unavailable: the model cannot be copied.
    """
    if loaded_run.untouched is None:
        raise Unavailable("the loaded model cannot be copied")
    return loaded_run.untouched


def model_in_fp32(loaded_model: Any) -> Any:  # noqa: ANN401
    """Returns a copy of `loaded_model` in fp32."""
    return copy.deepcopy(loaded_model).float().eval()


def folder_digests(
    implementation: Implementation, answerer: Answerer, task: Task, trained: TrainingResult, stored: Path
) -> FolderDigests:
    """See `views`; compares the folder after loading and a few questions with the copy made when training ended."""
    rows = task.probes[:2]
    with fault_of("generate"):
        call(record_generation, answerer, *(row[0] for row in rows))
    if getattr(implementation, "test", None):
        with fault_of("score"):
            call(implementation.test, answerer, rows)
    return FolderDigests(_digests(stored), _digests(trained.folder))


def model_dtypes(
    implementation: Implementation,
    folder: Path,
    trained: TrainingResult,
    loaded_model: Any,  # noqa: ANN401
) -> ModelDtypes:
    """See `views`; for base, adapter and float buffers. The toy is also loaded with a configuration in float16."""
    if not (due := _flat(trained.dtypes)):
        return ModelDtypes({}, {})
    loaded = {"": _flat(count_dtypes(loaded_model))}
    if implementation.base == "toy":  # the implementation locates other bases itself
        with float16_toy(folder):
            again = call(implementation.load, trained.folder)
        loaded["the base's configuration names float16"] = _flat(count_dtypes(again.model))
    return ModelDtypes(due, loaded)


def loaded_losses(loaded_model: Any, fresh_batch: Batch, fresh_losses: LossesBeforeAndAfter) -> LoadedLosses:  # noqa: ANN401
    """See `views`; losses of the true answer of each fresh row."""
    observed = call(row_losses, loaded_model, fresh_batch)
    return LoadedLosses(observed, fresh_losses.trained, fresh_losses.base)


def delta_errors(
    loaded_model: Any,  # noqa: ANN401
    base_model: PreTrainedModel,
    deltas: Mapping[str, torch.Tensor],
    starts: Mapping[str, torch.Tensor],
) -> list[DeltaError]:
    """Measures each Linear's delta by applying it to an identity matrix with and without adapter, for any class."""
    return _compare_deltas(loaded_model, base_model, deltas, starts)


def second_load(
    *,
    implementation: Implementation,
    answerer: Answerer,
    short_training: TrainingResult,
    base_model: PreTrainedModel,
    batch: Batch,
    task: Task,
) -> SecondLoad:
    """Loads another adapter, from a folder that was moved, while the first model exists, and examines both.

    The first one answers a question before its losses are measured: that activates its adapter, if a model holds both.
    """
    before = call(row_losses, answerer.model, batch)
    moved = short_training.folder.rename(short_training.folder.with_name("moved, é"))
    second = call(implementation.load, moved)
    saved = short_training, moved, base_model
    errors = _compare_deltas(second.model, base_model, expected_deltas(*saved), init_deltas_of(*saved))
    with fault_of("generate"):
        call(record_generation, answerer, task.probes[0][0])
    return SecondLoad(errors, before, call(row_losses, answerer.model, batch))


def _compare_deltas(
    model: Any,  # noqa: ANN401
    base_model: PreTrainedModel,
    deltas: Mapping[str, torch.Tensor],
    starts: Mapping[str, torch.Tensor],
) -> list[DeltaError]:
    errors = []
    for name, linear, module in linears(base_model, model):
        found, as_sum = call(effective_delta, linear, module, is_moved=name in starts)
        due = deltas.get(name, torch.zeros(()))
        weight = linear.weight.detach().norm().item() if as_sum else 0.0
        error = (found - due).norm().item()
        errors.append(DeltaError(name, found.norm().item(), due.norm().item(), error, weight))
    return errors


def weight_errors(
    loaded_model: Any,  # noqa: ANN401
    base_model: PreTrainedModel,
    deltas: Mapping[str, torch.Tensor],
) -> list[WeightError]:
    """Measures each Linear's weight by applying it to an identity matrix, against the base that the harness loads."""
    errors = []
    for name, linear, module in linears(base_model, loaded_model):
        due = linear.weight.detach().float() + deltas.get(name, torch.zeros(()))
        found, due = shared_rows(call(effective_weight, module), due)
        error = (found - due).norm().item()
        errors.append(WeightError(name, error, due.norm().item()))
    return errors


def merged_logits(
    loaded_model: Any,  # noqa: ANN401
    examples: list[TrainingExample],
    stored: Path,
    base_model: PreTrainedModel,
) -> LogitsPair:
    """Compares logits after and before merging a copy in float64, so only the merge differs, not the order of sums.

    Raises:
        Unavailable: there is nothing to merge, or peft cannot merge this kind of adapter into any model.
    """
    model = copy.deepcopy(loaded_model).double()
    if not hasattr(model, "merge_and_unload"):
        raise Unavailable("the loaded model has no adapter that can be merged")
    apart = _logits_row_by_row(model, examples)
    try:
        merged = call(model.merge_and_unload)
    except Failure as failure:
        if why := why_not_mergeable(stored, base_model):
            raise Unavailable(f"peft cannot merge such an adapter: {why}") from failure
        raise
    return LogitsPair(_logits_row_by_row(merged, examples), apart)


def _logits_row_by_row(model: Any, examples: list[TrainingExample]) -> torch.Tensor:  # noqa: ANN401
    """Returns logits of all tokens, (tokens, vocabulary), without padding, whose mask overflows in float64."""
    found = []
    for row in examples:
        ids, labels = torch.tensor([row.ids]), torch.tensor([row.labels])
        found.append(forward(model, Batch(ids, torch.ones_like(ids), labels))[0])
    return torch.cat(found)


def changed_values(
    loaded_model: Any,  # noqa: ANN401
    base_model: PreTrainedModel,
    trained: TrainingResult,
) -> dict[str, float]:
    """Returns the largest change of each tensor that differs from the base's or trained one, cast to its dtype."""
    due = {name: tensor.detach() for name, tensor in base_model.named_parameters()}
    due |= {plain(name): tensor for name, tensor in trained.adapter.items()}
    changes = {}
    for name, tensor in loaded_model.named_parameters():
        stored = due.get(plain(name))
        if stored is not None and not torch.equal(tensor.detach().cpu(), stored.to(tensor.dtype)):
            changes[plain(name)] = (tensor.detach().cpu().float() - stored.float()).abs().max().item()
    return changes


def rotary_errors(loaded_model: Any, base_model: PreTrainedModel) -> list[RotaryError]:  # noqa: ANN401
    """Compares rotary frequencies with those recomputed from the configuration in the base model's folder.

    Raises:
        Unavailable: the loaded model has no rotary frequencies that can be read.
    """
    due = rotary.frequencies(base_model.config)
    last = base_model.config.max_position_embeddings - 1
    turned = (last * due).repeat(2)
    errors = []
    for name, module in rotary.embeddings(loaded_model):
        frequency = ((module.inv_freq.float().cpu() - due).abs() / due).max().item()
        got = zip(rotary.angles(module, last), (turned.cos(), turned.sin()), strict=True)
        cosine, sine = ((found - exact).abs().max().item() for found, exact in got)
        errors.append(RotaryError(plain(name), frequency, cosine, sine, last))
    if not errors:
        raise Unavailable("the loaded model has no rotary frequencies that can be read")
    return errors


def loaded_logits(trained: TrainingResult, batch: Batch, loaded_model: Any) -> LogitsPair:  # noqa: ANN401
    """Pairs the loaded model's logits with those of the model in memory at the end of training."""
    due, seen = comparable(trained, batch)
    return LogitsPair(forward(loaded_model, batch).cpu()[seen], due)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def _flat(dtypes: Dtypes) -> dict[str, str]:
    return {f"{kind} {name}": dtype for kind, names in dtypes.items() for name, dtype in names.items()}
