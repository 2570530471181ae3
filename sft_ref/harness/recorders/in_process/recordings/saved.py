"""Records the stage artifact: the folder as training left it, unaffected by changes that loading makes to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.errors import BaseModelError
from sft_ref.harness.core.implementation import Implementation, TrainingResult
from sft_ref.harness.core.sizes import Size
from sft_ref.harness.evidence.in_process.trained_parts import NamedBase, SavedFiles, WeightError
from sft_ref.harness.evidence.views import MeasuredSize, SavedConfiguration, SavedTensors, SavedValues
from sft_ref.harness.instruments.deltas import load_weights, pairs, read_rank_and_scaling
from sft_ref.harness.instruments.sizes import project
from sft_ref.harness.recorders.folder.tensors.streaming import measure
from sft_ref.harness.recorders.in_process.calls import call
from sft_ref.io.tensor_headers import read_header
from sft_ref.reference.bases.find import find_base, fingerprint_base
from sft_ref.reference.guards.adapter_files import read_base_name

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def saved_folder(trained: TrainingResult, stored: Path) -> Path:
    """Returns the copy of the folder, if there is one."""
    return stored if trained.folder.is_dir() else trained.folder


def saved_files(saved_folder: Path) -> SavedFiles:
    """Reads every safetensors file."""
    from safetensors import SafetensorError

    names = sorted(path.name for path in saved_folder.glob("*"))
    found = tuple(name for name in names if name.endswith(".safetensors"))
    others = tuple(name for name in names if name not in found)
    try:
        return SavedFiles(found, others, tensors=len(read_saved(saved_folder)))
    except (SafetensorError, OSError) as error:
        return SavedFiles(found, others, unreadable=str(error))


def is_converted(trained: TrainingResult, saved_folder: Path, starts: Mapping[str, torch.Tensor]) -> bool:
    """Returns whether saving merged the initialisation's change of the base model into the tensors."""
    saved = read_saved(saved_folder)
    shapes = [(saved[name].shape, each.shape) for name, each in trained.adapter.items() if name in saved]
    return bool(starts) and any(own != due for own, due in shapes)


def saved_tensors(trained: TrainingResult, saved_folder: Path, is_converted: bool) -> SavedTensors:
    """See `views`; tensors by their names in the file."""
    note = (
        "the part of the base that the adapter's initialisation took over was converted: ART-009 compares the weights"
    )
    return SavedTensors(trained.adapter, read_saved(saved_folder), note=note if is_converted else "")


def saved_configuration(
    trained: TrainingResult, saved_folder: Path, base_model: PreTrainedModel, is_converted: bool
) -> SavedConfiguration:
    """See `views`; rank and scaling of each module, as peft reads the configuration.

    Converting the initialisation changes rank and scaling along with the tensors; ART-009 compares the results.
    """
    found = call(read_rank_and_scaling, saved_folder, base_model)
    if is_converted:
        return SavedConfiguration(_rank_and_scaling(found), _rank_and_scaling(found))
    ranks = {name: a.shape[0] for name, (a, _) in pairs(trained.adapter).items()}
    scalings = trained.scalings
    if not scalings:
        missing = "the scalings in training are unknown: give TrainingResult.scalings"
        saved = {name: rank for name, (rank, _) in found.items()}
        return SavedConfiguration(_named("rank", ranks), _named("rank", saved), missing=missing)
    due = {name: (rank, scalings.get(name)) for name, rank in ranks.items()}
    return SavedConfiguration(_rank_and_scaling(due), _rank_and_scaling(found))


def saved_values(saved_folder: Path) -> SavedValues:
    """See `views`."""
    paths = sorted(saved_folder.glob("*.safetensors"))
    headers = {name: header for path in paths for name, header in read_header(path).items()}
    return SavedValues(measure(headers), {name: each.dtype for name, each in headers.items()})


def reloaded_weights(stored: Path, base_model: PreTrainedModel, trained_model: PreTrainedModel) -> list[WeightError]:
    """Compares the weights that plain peft loads from the folder with those in training, parameter by parameter."""
    due, base = (dict(each.named_parameters()) for each in (trained_model, base_model))
    loaded = call(load_weights, stored, base_model)
    errors = []
    for name, tensor in due.items():
        norm = tensor.norm().item()
        added = (tensor - base[name]).norm().item() if name in base else norm
        error = (loaded[name] - tensor).norm().item() if name in loaded else norm
        errors.append(WeightError(name, error, norm, added))
    return errors


def named_base(implementation: Implementation, stored: Path) -> NamedBase:
    """Finds the base model that the configuration names, and compares its weights with those of the trained base."""
    name, trained = str(call(read_base_name, stored)), implementation.base
    try:
        found = fingerprint_base(find_base(name))
    except BaseModelError as error:
        return NamedBase(name, trained, missing=str(error))
    return NamedBase(name, trained, matches_trained_base=found == fingerprint_base(find_base(trained)))


def target_model(implementation: Implementation) -> str:
    """Returns the model that the implementation targets: the model that a toy stands for, or its base."""
    return str(getattr(implementation, "stands_for", implementation.base))


def size(implementation: Implementation, stored: Path, target_model: str) -> Size:
    """Measures the stored adapter's size, projected onto its target model."""
    return project(stored, implementation.base, target_model)


def sizes(size: Size, target_model: str) -> MeasuredSize:
    """See `views`."""
    return MeasuredSize(size, onto=target_model)


def read_saved(folder: Path) -> dict[str, torch.Tensor]:
    """Reads all tensors of the safetensors files in a folder."""
    from safetensors.torch import load_file

    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def _rank_and_scaling(modules: Mapping[str, tuple[int, float | None]]) -> dict[str, object]:
    ranks, scalings = ({name: each[n] for name, each in modules.items()} for n in (0, 1))
    return _named("rank", ranks) | _named("scaling", scalings)


def _named(what: str, values: Mapping[str, object]) -> dict[str, object]:
    return {f"{what} of {name}": value for name, value in values.items()}
