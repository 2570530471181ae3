"""Checks of the stage artifact: the folder that training leaves.

They look at a copy made when training ended, so that what loading does to the folder is not held against it.
"""

from __future__ import annotations

from pathlib import Path

from sft_ref.errors import BaseModelError
from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.instruments.deltas import load_weights
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.reference.bases.find import find_base, fingerprint_base
from sft_ref.reference.guards.adapter_files import read_base_name


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

    if not context.saved_files:
        there = sorted(path.name for path in context.stored.glob("*")) if context.stored.is_dir() else []
        raise Failure(f"there is no safetensors file, but {', '.join(there) or 'nothing'}", "at least one")
    try:
        tensors = context.saved_tensors.saved
    except (SafetensorError, OSError) as error:
        raise Failure(f"a file cannot be read ({error})", "safetensors") from error
    if not tensors:
        raise Failure("the file has no tensors", "the adapter's tensors")


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
    """Compares what was added to each parameter of the base."""
    due, base = (dict(each.named_parameters()) for each in (context.trained_model, context.base_model))
    loaded = context.call(load_weights, context.stored, context.base_model)
    dtypes = {tolerance.name_dtype(tensor.dtype) for tensor in context.saved_tensors.saved.values()}
    rounding = max(tolerance.WEIGHTS[dtype] for dtype in dtypes)
    for name, tensor in due.items():
        added = (tensor - base[name]).norm().item() if name in base else tensor.norm().item()
        error = (loaded[name] - tensor).norm().item() if name in loaded else tensor.norm().item()
        allowed = rounding * added + tolerance.WEIGHTS["float32"] * tensor.norm().item()
        if margins.exceeds(error, allowed):
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
