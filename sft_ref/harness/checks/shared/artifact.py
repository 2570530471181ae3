"""Shared checks of the stage artifact."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, NotGiven, Unavailable
from sft_ref.harness.core.sizes import Size, SizeLimits
from sft_ref.harness.evidence.views import MeasuredSize, SavedConfiguration, SavedTensors, SavedValues
from sft_ref.io.lora_config import WEIGHTS

_ZERO_AT_FIRST = re.compile(r"\.lora_(B(?:\.weight)?|embedding_A)$")
"""The matrix of a pair that is initialised to zero."""

_NO_LIMIT = "no size limit was given (--limit, --profile course)"


@check(
    "ART-002",
    "Every value of the saved adapter is finite",
    why="One NaN or infinity in an adapter makes every logit NaN, and with it every answer.",
    remedy="Train again at a lower rate or in bfloat16, and save in float32 or bfloat16: float16 overflows at 65504.",
    depends_on=("ART-001", "ART-204", "ART-205"),
    source="S6",
    core=True,
    aliases=("ART-233",),
)
def saved_values_are_finite(saved_values: SavedValues) -> None:
    """ART-002: Examines every tensor."""
    bad = {name: each.nonfinite for name, each in saved_values.tensors.items() if each.nonfinite}
    if bad:
        first = min(bad)
        dtype = saved_values.dtypes[first]
        seen = f"{len(bad)} of {len(saved_values.tensors)} tensors have NaN or infinity, stored as {dtype}"
        if dtype == "F16":
            seen += ": float16 ends at 65504"
        raise Failure(seen, "finite numbers", f"{first}: {bad[first]} numbers")


@check(
    "ART-003",
    "The saved adapter is not zero",
    why="lora_B starts at zero; while it is zero, the adapter has no effect, whatever the training loss was.",
    remedy="Check that the adapter's parameters were trained, and save the trained model, after training.",
    depends_on=("ART-001", "ART-204", "ART-205", "ART-212"),
    source="A6",
    core=True,
    aliases=("ART-234",),
)
def saved_adapter_is_not_zero(saved_values: SavedValues) -> str | None:
    """ART-003: Examines the matrices that are initialised to zero."""
    values = saved_values.tensors
    began = {name: each for name, each in values.items() if _ZERO_AT_FIRST.search(name)}
    zero = [name for name, each in began.items() if not each.largest and not each.nonfinite]
    whole = [name for name in values if ".lora_" not in name]
    if zero and len(zero) == len(began) and not whole:
        raise Failure(f"{len(zero)} of {len(began)} lora_B are zero: the adapter adds nothing", "trained ones", zero[0])
    return f"{len(zero)} of {len(began)} lora_B are zero, {zero[0]} first: they add nothing" if zero else None


@check(
    "ART-004",
    "The saved tensors equal the trained ones, up to rounding to the saved dtype",
    why="A tensor that is missing from the file is re-initialised on loading, without an error; an adapter that is"
    " saved before training, or from another model, is not the trained one.",
    remedy="Call save_pretrained on the trained model, after training, without a state dict of your own.",
    depends_on=("ART-001", "ART-002", "ART-101"),
    source="A6; alpaca-lora#334",
    core=True,
    aliases=("ART-102",),
)
def saved_tensors_are_the_trained(saved_tensors: SavedTensors) -> str | None:
    """ART-004: Compares the files with the adapter in memory at the end of training."""
    trained, saved = saved_tensors.trained, saved_tensors.saved
    if saved_tensors.note:
        return saved_tensors.note
    if not saved:
        raise Failure(f"there is no {WEIGHTS} that can be read", "the adapter's tensors", saved_tensors.example)
    for name, tensor in trained.items():
        if name not in saved:
            missing = len(trained.keys() - saved.keys())
            raise Failure(f"{missing} of {len(trained)} trained tensors are not in the file", "none", name)
        due, found = tensor.float(), saved[name].float()
        if due.shape != found.shape:
            raise Failure(f"a saved tensor has the shape {tuple(found.shape)}", tuple(due.shape), name)
        if torch.equal(due.isnan(), found.isnan()):  # the stage train reports NaN in trained tensors
            due, found = due.nan_to_num(), found.nan_to_num()
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(saved[name].dtype)] * due.norm().item()
        error = (found - due).norm().item()
        if margins.exceeds(error, allowed) and not saved_tensors.is_as_good:
            blank = ", and the saved one is zero" if "lora_B" in name and not found.any() else ""
            seen = f"a saved tensor differs by {error:.3g} from the trained one, whose norm is {due.norm():.3g}{blank}"
            raise Failure(seen, f"at most {allowed:.3g}", name)
    return None


@check(
    "ART-005",
    "The saved configuration has the trained modules, their ranks and their scaling",
    why="With another alpha the adapter is scaled differently, and no loader can detect it.",
    remedy="Save the configuration of the trained model unchanged.",
    depends_on=("ART-001", "ART-101"),
)
def configuration_is_the_trained_one(saved_configuration: SavedConfiguration) -> None:
    """ART-005: Compares the settings that decide how tensors are applied, per module or for all modules."""
    trained, saved = saved_configuration.trained, saved_configuration.saved
    if not trained:
        raise Unavailable("rank and scaling of the training are unknown")
    for name in dict.fromkeys((*trained, *saved)):
        if (found := saved.get(name)) != (due := trained.get(name)):
            raise Failure(
                f"{name} is {found} in the saved configuration",
                f"{due}, as trained",
                saved_configuration.example,
                survivable=True,
            )
    if saved_configuration.missing:
        raise NotGiven(saved_configuration.missing)


@check(
    "ART-007",
    "Adapter and folder are within the given size limits",
    why="A file that is too large cannot be submitted, and an adapter of that size often contains untrained weights.",
    remedy="Lower the rank, and save the adapter alone, without checkpoints, embeddings or the output head.",
    source="course rubric",
    depends_on=("ART-001", "ART-101", "ART-204"),
    aliases=("ART-103", "ART-210"),
)
def files_are_within_limits(sizes: MeasuredSize, limits: SizeLimits) -> None:
    """ART-007: Projects the size onto the named model; compares an adapter in a custom format with the base."""
    if limits.adapter is None and limits.bundle is None:
        raise Unavailable(_NO_LIMIT)
    if sizes.whole_model:
        raise Failure(sizes.whole_model, "an adapter", sizes.example)
    if found := _measured(sizes).excess(limits, "adapter", "bundle"):
        raise Failure(
            f"there are {found[0]} on {sizes.onto}, more than the limit", f"at most {found[1]}", sizes.example
        )


@check(
    "ART-008",
    "The model with its adapter is within the given limit of parameters",
    level=Level.CONTRACT,
    why="A model that is larger than the task allows solves a different task.",
    remedy="Fine-tune a smaller variant.",
    source="course rubric",
    depends_on=("ART-001", "ART-101", "ART-204"),
    aliases=("ART-105",),
)
def model_is_within_limits(sizes: MeasuredSize, limits: SizeLimits) -> None:
    """ART-008: Counts the parameters of the named model and of the adapter."""
    if limits.parameters is None:
        raise Unavailable(_NO_LIMIT)
    if found := _measured(sizes).excess(limits, "parameters"):
        measured = f"the model has {found[0]} with its adapter, more than the limit"
        raise Failure(measured, f"at most {found[1]}", f"{sizes.onto} and its adapter")


@check(
    "ART-104",
    "The adapter is saved as safetensors, not as a pickle",
    level=Level.CONTRACT,
    why="A pickle can run code when it is read, so it is not opened here.",
    remedy="Save with safe_serialization=True, the default of save_pretrained.",
    depends_on=("ART-101",),
    aliases=("ART-203",),
)
def adapter_is_no_pickle(pickles: Sequence[str]) -> None:
    """ART-104: Examines the names of the files."""
    if pickles:
        raise Failure(f"the tensors are in {', '.join(pickles)}, a pickle", WEIGHTS, pickles[0])


def _measured(sizes: MeasuredSize) -> Size:
    if sizes.size is None:
        raise Unavailable(sizes.unknown)
    return sizes.size
