"""Shared checks of the artifact."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.sizes import Size, SizeLimits
from sft_ref.harness.evidence.views import MeasuredSize
from sft_ref.io.lora_config import WEIGHTS

_NO_LIMIT = "no size limit was given (--limit, --profile course)"


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
    """ART-007: projected onto the named model; a form of its own is compared with the base."""
    if limits.adapter is None and limits.bundle is None:
        raise Unavailable(_NO_LIMIT)
    if sizes.whole_model:
        raise Failure(sizes.whole_model, "an adapter", sizes.example)
    if found := _measured(sizes).excess(limits, "adapter", "bundle"):
        raise Failure(f"{found[0]} on {sizes.onto}", found[1], sizes.example)


@check(
    "ART-008",
    "The model with its adapter is within the given limit of parameters",
    level=Level.CONTRACT,
    why="A larger model than the task allows solves another task.",
    remedy="Fine-tune a smaller variant.",
    source="course rubric",
    depends_on=("ART-001", "ART-101", "ART-204"),
    aliases=("ART-105",),
)
def model_is_within_limits(sizes: MeasuredSize, limits: SizeLimits) -> None:
    """ART-008: the named model's parameters, and the adapter's."""
    if limits.parameters is None:
        raise Unavailable(_NO_LIMIT)
    if found := _measured(sizes).excess(limits, "parameters"):
        raise Failure(*found, f"{sizes.onto} and its adapter")


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
    """ART-104: by the names of the files."""
    if pickles:
        raise Failure(f"the tensors are in {', '.join(pickles)}, a pickle", WEIGHTS, pickles[0])


def _measured(sizes: MeasuredSize) -> Size:
    if sizes.size is None:
        raise Unavailable(sizes.unknown)
    return sizes.size
