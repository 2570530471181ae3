"""Checks of the stage artifact: the folder that training saves.

They examine a copy made when training ended, so that changes made to the folder by loading do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.trained_parts import NamedBase, SavedFiles, WeightError
from sft_ref.harness.evidence.views import SavedTensors


@check(
    "ART-001",
    "The adapter is saved as safetensors, and is readable without running code",
    why="A pickle can run code when it is read, and many loaders look for safetensors only.",
    remedy="Save with safe_serialization=True, the default of save_pretrained.",
    source="S9",
)
def adapter_is_safetensors(saved_files: SavedFiles) -> None:
    """ART-001: Reads every safetensors file in the folder."""
    if not saved_files.tensor_files:
        there = ", ".join(saved_files.others) or "nothing"
        raise Failure(f"there is no safetensors file, but {there}", "at least one")
    if saved_files.unreadable:
        raise Failure(f"a file cannot be read ({saved_files.unreadable})", "safetensors")
    if not saved_files.tensors:
        raise Failure("the file has no tensors", "the adapter's tensors")


@check(
    "ART-009",
    "The folder, loaded by peft onto the base, gives the trained model",
    why="peft ignores tensors that the configuration does not name, and changes the base if the configuration asks for"
    " that. All tensors may be there, and the model may still differ.",
    remedy="Save the configuration of the trained model unchanged, with use_dora, modules_to_save and"
    " init_lora_weights.",
    depends_on=("ART-005",),
)
def folder_gives_the_trained_model(reloaded_weights: Sequence[WeightError], saved_tensors: SavedTensors) -> None:
    """ART-009: Compares the change of each parameter of the base."""
    dtypes = {tolerance.name_dtype(tensor.dtype) for tensor in saved_tensors.saved.values()}
    rounding = max(tolerance.WEIGHTS[dtype] for dtype in dtypes)
    for each in reloaded_weights:
        allowed = rounding * each.added + tolerance.WEIGHTS["float32"] * each.norm
        if margins.exceeds(each.error, allowed):
            due = f"at most {allowed:.3g}, where the adapter adds {each.added:.3g}"
            raise Failure(f"a weight that peft loads differs by {each.error:.3g} from the trained one", due, each.name)


@check(
    "ART-006",
    "The saved configuration names the trained base by a name that is valid on any machine",
    level=Level.CONTRACT,
    why="A local path does not exist on another machine, and the adapter is meaningless on another base.",
    remedy="Save the name that was used to load the base.",
    depends_on=("ART-005",),
    source="S9",
)
def configuration_names_the_base(named_base: NamedBase) -> None:
    """ART-006: Compares the name, and the weights of the model found under that name."""
    name, trained = named_base.name, named_base.trained
    if Path(name).is_absolute() and name != trained:
        raise Failure(f"the saved configuration names the base by the path {name}", f"the name {trained}")
    if named_base.missing:
        raise Failure(
            f"the base {name!r}, which the saved configuration names, cannot be found ({named_base.missing})", trained
        )
    if not named_base.matches_trained_base:
        raise Failure(f"the saved configuration names {name!r}, which is a different base", trained)
