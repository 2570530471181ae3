"""Checks of the stage artifact: the folder that training leaves.

They look at a copy made when training ended, so that what loading does to the folder is not held against it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sft_ref.errors import BaseModelError
from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.instruments.deltas import load_merged, pairs, read_blueprint
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.reference.bases.find import find_base, fingerprint_base
from sft_ref.reference.guards.adapter_files import read_base_name


def _files(context: Context) -> list[Path]:
    folder = context.stored if context.trained.folder.is_dir() else context.trained.folder
    return sorted(folder.glob("*.safetensors"))


def _tensors(context: Context) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: tensor for path in _files(context) for name, tensor in load_file(path).items()}


@check(
    "ART-001",
    "The adapter is saved as safetensors, and is readable without running code",
    why="A pickle can run code when it is read, and many loaders look for safetensors only.",
    remedy="Save with safe_serialization=True, the default of save_pretrained.",
    source="S9",
)
def adapter_is_safetensors(context: Context) -> None:
    """Reads every safetensors file of the folder."""
    from safetensors import SafetensorError

    if not _files(context):
        there = sorted(path.name for path in context.stored.glob("*")) if context.stored.is_dir() else []
        raise Failure(f"there is no safetensors file, but {', '.join(there) or 'nothing'}", "at least one")
    try:
        tensors = _tensors(context)
    except (SafetensorError, OSError) as error:
        raise Failure(f"a file cannot be read ({error})", "safetensors") from error
    if not tensors:
        raise Failure("the file has no tensors", "the adapter's tensors")


@check(
    "ART-002",
    "Every value of the saved adapter is finite",
    why="One NaN in an adapter makes every logit NaN, and with it every answer.",
    remedy="Find the step at which the loss stopped being finite, or save in a dtype with enough range.",
    depends_on=("ART-001",),
    source="S6",
)
def stored_adapter_is_finite(context: Context) -> None:
    """Every tensor of the file."""
    for name, tensor in _tensors(context).items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Failure(f"{int((~tensor.isfinite()).sum())} values are not finite", "none", name)


@check(
    "ART-003",
    "The saved adapter is not zero",
    why="An adapter whose lora_B is zero is the base model, whatever the training loss was.",
    remedy="Save the trained model, and save it after training.",
    depends_on=("ART-001",),
    source="A6",
)
def stored_adapter_is_not_blank(context: Context) -> None:
    """B @ A of each pair; a file without a pair is another check's."""
    found = pairs(_tensors(context))
    if found and not any((b @ a).any() for a, b in found.values()):
        raise Failure(f"all {len(found)} products B @ A are zero", "at least one that is not", next(iter(found)))


@check(
    "ART-004",
    "The saved tensors equal the trained ones, up to rounding to the saved dtype",
    why="A tensor that is missing from the file is re-initialised on loading, without an error.",
    remedy="Save with the model's own save_pretrained, without a state dict of your own.",
    depends_on=("ART-001", "ART-002"),
    source="A6; alpaca-lora#334",
)
def file_holds_what_was_trained(context: Context) -> None:
    """Compares the file with the tensors in memory when training ended."""
    stored = _tensors(context)
    for name, tensor in context.trained.adapter.items():
        if name not in stored:
            missing = len(context.trained.adapter.keys() - stored.keys())
            raise Failure(f"{missing} of {len(context.trained.adapter)} tensors are missing", "none", name)
        due, found = tensor.float(), stored[name].float()
        if due.shape != found.shape:
            raise Failure(f"the tensor has shape {tuple(found.shape)}", tuple(due.shape), name)
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(stored[name].dtype)]
        if (error := (found - due).norm().item()) > allowed * due.norm().item():
            raise Failure(
                f"the saved tensor differs by {error:.3g}", f"at most {allowed * due.norm().item():.3g}", name
            )


@check(
    "ART-005",
    "The saved configuration has the trained modules, their ranks and their scaling",
    why="With another alpha the adapter is scaled differently, and no loader can detect it.",
    remedy="Save the configuration of the trained model unchanged.",
    depends_on=("ART-004",),
)
def configuration_is_the_trained_one(context: Context) -> None:
    """Builds the model that peft makes of the configuration, without weights, and looks at its layers."""
    blueprint = context.call(read_blueprint, context.stored, context.base_model)
    trained = pairs(context.trained.adapter)
    if odd := sorted(blueprint.keys() ^ trained.keys()):
        raise Failure(
            f"{len(odd)} modules are adapted in either configuration or training, not in both", "none", odd[0]
        )
    for name, (rank, scaling) in blueprint.items():
        if rank != trained[name][0].shape[0]:
            raise Failure(f"the configuration has rank {rank}", trained[name][0].shape[0], name)
        due = context.trained.scalings.get(name, scaling)
        if scaling != due:
            raise Failure(f"the configuration has scaling {scaling:g}", f"{due:g}, as trained", name)


@check(
    "ART-009",
    "The folder, loaded by peft onto the base, gives the trained model",
    why="peft ignores tensors that the configuration does not announce, and changes the base where it says so. The"
    " tensors may all be there, and the model is another.",
    remedy="Save the configuration of the trained model unchanged, with use_dora, modules_to_save and"
    " init_lora_weights.",
    depends_on=("ART-005",),
)
def folder_gives_the_trained_model(context: Context) -> None:
    """Merges what peft loads, and compares what was added to each parameter of the base."""
    due, base = (dict(each.named_parameters()) for each in (context.trained_model, context.base_model))
    loaded = dict(context.call(load_merged, context.stored, context.base_model).named_parameters())
    dtypes = {tolerance.name_dtype(tensor.dtype) for tensor in _tensors(context).values()}
    rounding = max(tolerance.WEIGHTS[dtype] for dtype in dtypes)
    for name, tensor in due.items():
        added = (tensor - base[name]).norm().item() if name in base else tensor.norm().item()
        error = (loaded[name] - tensor).norm().item() if name in loaded else tensor.norm().item()
        allowed = rounding * added + tolerance.WEIGHTS["float32"] * tensor.norm().item()
        if not error <= allowed:
            raise Failure(f"the weight differs by {error:.3g}", f"at most {allowed:.3g}, of {added:.3g} added", name)


@check(
    "ART-006",
    "The saved configuration names the trained base by a name that is valid on any machine",
    level=Level.CONTRACT,
    why="A local path does not exist on another machine, and the adapter is meaningless on another base.",
    remedy="Save the name that was used to load the base.",
    depends_on=("ART-005",),
    source="S9",
)
def configuration_names_the_base(context: Context) -> None:
    """Finds the base that it names, and compares the weights."""
    name = str(context.call(read_base_name, context.stored))
    if Path(name).is_absolute() and name != context.implementation.base:
        raise Failure(f"the configuration has the path {name}", f"the name {context.implementation.base}")
    try:
        found = fingerprint_base(find_base(name))
    except BaseModelError as error:
        raise Failure(f"the base {name!r} cannot be found ({error})", context.implementation.base) from error
    if found != fingerprint_base(find_base(context.implementation.base)):
        raise Failure(f"{name!r} is another base", context.implementation.base)
