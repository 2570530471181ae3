"""Checks of the stage artifact: the folder that training leaves.

They look at a copy made when training ended, so that what loading does to the folder is not held against it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sft_ref.bases.find import find_base, fingerprint_base
from sft_ref.errors import BaseModelError
from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments import tolerance
from sft_ref.harness.instruments.deltas import pairs, read_blueprint
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.reference.guards.adapter_files import read_base_name


def _files(context: Context) -> list[Path]:
    folder = context.stored if context.trained.folder.is_dir() else context.trained.folder
    return sorted(folder.glob("*.safetensors"))


def _tensors(context: Context) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: tensor for path in _files(context) for name, tensor in load_file(path).items()}


@check(
    "ART-001",
    "the adapter lies in its folder as safetensors, and can be read without running code",
    why="a pickle can run code when it is read, and loaders that look for one name do not find the other",
    remedy="save with safe_serialization=True, which is the default of save_pretrained",
    source="S9",
)
def adapter_is_safetensors(context: Context) -> None:
    """Reads every safetensors file of the folder."""
    from safetensors import SafetensorError

    if not _files(context):
        there = sorted(path.name for path in context.stored.glob("*")) if context.stored.is_dir() else []
        raise Failure(f"no safetensors file, but {', '.join(there) or 'nothing'}", "one at least")
    try:
        tensors = _tensors(context)
    except (SafetensorError, OSError) as error:
        raise Failure(f"a file that cannot be read ({error})", "safetensors") from error
    if not tensors:
        raise Failure("a file without tensors", "the adapter's tensors")


@check(
    "ART-002",
    "every number of the stored adapter is finite",
    why="one NaN in an adapter makes every logit NaN, and every answer with it",
    remedy="look for the step at which the loss stopped being finite; store in a dtype that has the range",
    depends_on=("ART-001",),
    source="S6",
)
def stored_adapter_is_finite(context: Context) -> None:
    """Every tensor of the file."""
    for name, tensor in _tensors(context).items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Failure(f"{int((~tensor.isfinite()).sum())} numbers that are not finite", "none", name)


@check(
    "ART-003",
    "the stored adapter is not blank",
    why="an adapter whose lora_B is zero is the base, whatever the loss was",
    remedy="save the model that was trained, after it was trained",
    depends_on=("ART-001",),
    source="A6",
)
def stored_adapter_is_not_blank(context: Context) -> None:
    """B @ A of each pair; a file without a pair is another check's."""
    found = pairs(_tensors(context))
    if found and not any((b @ a).any() for a, b in found.values()):
        raise Failure(f"{len(found)} additions that are zero", "one that is not", next(iter(found)))


@check(
    "ART-004",
    "what is stored is what was trained: every tensor, and its values but for the rounding of the stored dtype",
    why="a tensor that is missing is silently blank after loading",
    remedy="save by the model's own save_pretrained, without a state dict of your own",
    depends_on=("ART-001", "ART-002"),
    source="A6; alpaca-lora#334",
)
def file_holds_what_was_trained(context: Context) -> None:
    """Compares the file with the tensors in memory when training ended."""
    stored = _tensors(context)
    for name, tensor in context.trained.adapter.items():
        if name not in stored:
            missing = len(context.trained.adapter.keys() - stored.keys())
            raise Failure(f"{missing} of {len(context.trained.adapter)} tensors missing", "none", name)
        due, found = tensor.float(), stored[name].float()
        if due.shape != found.shape:
            raise Failure(f"shape {tuple(found.shape)}", tuple(due.shape), name)
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(stored[name].dtype)]
        if (error := (found - due).norm().item()) > allowed * due.norm().item():
            raise Failure(f"a difference of {error:.3g}", f"{allowed * due.norm().item():.3g}", name)


@check(
    "ART-005",
    "the stored configuration gives the trained modules, and no other, the rank and the scaling of their training",
    why="with another alpha the adapter acts by another factor, and no loader can notice",
    remedy="save the configuration of the model that was trained, unchanged",
    depends_on=("ART-004",),
)
def configuration_is_the_trained_one(context: Context) -> None:
    """Builds the model that peft makes of the configuration, without weights, and looks at its layers."""
    blueprint = context.call(read_blueprint, context.stored, context.base_model)
    trained = pairs(context.trained.adapter)
    if odd := sorted(blueprint.keys() ^ trained.keys()):
        raise Failure(f"{len(odd)} modules that are adapted by one of configuration and training only", "none", odd[0])
    for name, (rank, scaling) in blueprint.items():
        if rank != trained[name][0].shape[0]:
            raise Failure(f"rank {rank}", trained[name][0].shape[0], name)
        due = context.trained.scalings.get(name, scaling)
        if scaling != due:
            raise Failure(f"scaling {scaling:g}", f"{due:g}, as trained", name)


@check(
    "ART-006",
    "the stored configuration names a base that is the one trained on, on any machine",
    level=Level.CONTRACT,
    why="a path of the machine that trained leads nowhere elsewhere, and another base makes the adapter meaningless",
    remedy="store the name by which the base was asked for",
    depends_on=("ART-005",),
    source="S9",
)
def configuration_names_the_base(context: Context) -> None:
    """Finds the base that it names, and compares the weights."""
    name = str(context.call(read_base_name, context.stored))
    if Path(name).is_absolute() and name != context.implementation.base:
        raise Failure(f"the path {name}", f"the name {context.implementation.base}")
    try:
        found = fingerprint_base(find_base(name))
    except BaseModelError as error:
        raise Failure(f"{name!r}, which cannot be found ({error})", context.implementation.base) from error
    if found != fingerprint_base(find_base(context.implementation.base)):
        raise Failure(f"{name!r}, another base", context.implementation.base)


@check(
    "ART-007",
    "adapter, bundle and model keep within the limits of size that were given",
    why="what is too large cannot be handed in, and an adapter of that size often holds weights that nobody trained",
    remedy="lower the rank, store the adapter alone, and neither checkpoints nor the head beside it",
    depends_on=("ART-001",),
    source="course rubric",
)
def sizes_are_within_limits(context: Context) -> None:
    """Projects each tensor onto the model that the implementation stands for."""
    if not context.limits:
        raise Unavailable("no limit of size was given (--limit, --profile course)")
    if found := context.size.excess(context.limits):
        raise Failure(*found, f"projected onto {context.named_base}")


CHECKS: tuple[Check, ...] = (
    adapter_is_safetensors,
    stored_adapter_is_finite,
    stored_adapter_is_not_blank,
    file_holds_what_was_trained,
    configuration_is_the_trained_one,
    configuration_names_the_base,
    sizes_are_within_limits,
)
