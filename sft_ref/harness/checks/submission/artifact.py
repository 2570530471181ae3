"""Checks of the artifact: what is saved."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.sizes import Size
from sft_ref.harness.instruments import tolerance
from sft_ref.harness.instruments.deltas import plain
from sft_ref.harness.instruments.sizes import project
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.layout import ADAPTER
from sft_ref.io.tensor_headers import read_header

_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Endings of files that torch.save or pickle wrote."""

_TENSORS = _PICKLES | {".safetensors"}

_ROWS = ("embed", "wte", "lm_head", "token_adapter", "trainable_tokens")
"""Parts of the names of tensors that hold rows of an embedding."""

_TRAINERS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"})
"""Pickles that Trainer leaves beside an adapter."""


@check(
    "ART-101",
    "Training saves an adapter in the folder that is loaded",
    why="An adapter that is saved elsewhere, or not at all, is not the one that answers.",
    remedy="Save to the requested folder, and load from the same one; build its path from the module's __file__.",
    source="S9, A6",
    depends_on=("TRN-101",),
)
def adapter_lies_where_it_is_loaded(evidence: Evidence) -> None:
    """ART-101: any adapter folder that is new after training."""
    if evidence.is_of_own_form:
        return
    if not evidence.trained:
        raise Unavailable("training left no adapter of peft's in memory")
    wanted = evidence.output
    if not evidence.saved:
        raise Failure("no adapter_config.json in any folder", "an adapter folder", name_place(evidence, wanted))
    read = evidence.read_from
    if wanted not in evidence.saved and (read is None or read not in evidence.saved):
        found = ", ".join(name_place(evidence, each) for each in list(evidence.saved)[:3])
        raise Failure(
            f"an adapter in {found}", f"one in {name_place(evidence, read or wanted)}", "where it is loaded from"
        )


@check(
    "ART-102",
    "The saved tensors equal the trained ones, up to rounding to the saved dtype",
    why="An adapter that is saved before training, or from another model, is not the trained one.",
    remedy="Call save_pretrained on the trained model, after training.",
    depends_on=("ART-101",),
    source="A6; alpaca-lora#334",
    core=True,
)
def saved_tensors_are_the_trained(evidence: Evidence) -> str | None:
    """ART-102: the files against the adapter in memory when training ended, tensors and scale.

    What is saved in a form of its own is known by its logits, once loaded.
    """
    if evidence.is_of_own_form:
        return "it is saved in a form of its own; once loaded, it gives training texts the loss that training left"
    place = saved_place(evidence)
    saved = {plain(name): tensor for name, tensor in evidence.read_adapter(evidence.saved[place]).items()}
    if not saved:
        raise Failure(
            "no adapter_model.safetensors that can be read", "the adapter's tensors", name_place(evidence, place)
        )
    scale, due_scale = evidence.scales(evidence.saved[place]), evidence.scales(evidence.trained_folder)
    for name, factor in due_scale.items():
        if scale.get(name) != factor:
            case = name_place(evidence, place / ADAPTER)
            raise Failure(f"{name} {scale.get(name)}", f"{factor}, as trained", case, survived=evidence.is_good)
    for name, tensor in evidence.trained.items():
        if plain(name) not in saved:
            missing = len({plain(each) for each in evidence.trained} - saved.keys())
            raise Failure(f"{missing} of {len(evidence.trained)} tensors missing", "none", plain(name))
        due, found = tensor.float(), saved[plain(name)].float()
        if due.shape != found.shape:
            raise Failure(f"shape {tuple(found.shape)}", tuple(due.shape), plain(name))
        if torch.equal(due.isnan(), found.isnan()):  # NaN that was trained is training's matter
            due, found = due.nan_to_num(), found.nan_to_num()
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(saved[plain(name)].dtype)] * due.norm().item()
        if not (error := (found - due).norm().item()) <= allowed and not evidence.is_saved_well:
            blank = "; the saved one is blank" if "lora_B" in name and not found.any() else ""
            raise Failure(
                f"a difference of {error:.3g} where the norm is {due.norm():.3g}{blank}", f"{allowed:.2g}", plain(name)
            )
    return None


@check(
    "ART-103",
    "The adapter is within the given size limits",
    why="An output head or embedding that is saved in full makes a LoRA adapter as large as a model.",
    remedy="Lower the rank, adapt fewer layers, and save no embeddings or head (modules_to_save).",
    depends_on=("ART-101",),
    source="the course's rubric",
)
def adapter_keeps_within_limits(evidence: Evidence) -> None:
    """ART-103: projected from the toy onto the named model; of an adapter that is not peft's, against the base."""
    if evidence.limits.adapter is None and evidence.limits.bundle is None:
        raise Unavailable("no limit of size was given (--limit, --profile course)")
    base = evidence.workplace.base / "model.safetensors"
    files = evidence.saved_output.rglob("*")
    whole = sum(path.stat().st_size for path in files if path.suffix in _TENSORS and path.is_file())
    if evidence.is_of_own_form and whole >= base.stat().st_size:
        seen = f"{whole / 1e6:.1f} MB of tensors, where the base itself has {base.stat().st_size / 1e6:.1f}"
        raise Failure(seen, "an adapter", name_place(evidence, evidence.output))
    if found := size_of(evidence).excess(evidence.limits, "adapter", "bundle"):
        raise Failure(f"{found[0]} on {evidence.named_base}", found[1], _largest(_weighed(evidence)))


@check(
    "ART-104",
    "The adapter is saved as safetensors, not as a pickle",
    level=Level.CONTRACT,
    why="A pickle runs code when it is loaded.",
    remedy="Save with safe_serialization=True, the default.",
    depends_on=("ART-101",),
)
def adapter_is_no_pickle(evidence: Evidence) -> None:
    """ART-104: by the file's name."""
    if evidence.is_of_own_form:
        output = evidence.saved_output
        names = sorted(path.name for path in output.glob("*") if path.suffix in _PICKLES)
        if any(output.glob("*.safetensors")):
            return
    else:
        copy = evidence.saved[saved_place(evidence)]
        names = [] if (copy / "adapter_model.safetensors").exists() else ["adapter_model.bin"]
        names = [name for name in names if (copy / name).exists()]
    if names := [name for name in names if name not in _TRAINERS]:
        raise Failure(", ".join(names), "adapter_model.safetensors")


@check(
    "ART-105",
    "The model with its adapter is within the given limit of parameters",
    level=Level.CONTRACT,
    why="A larger model than the task allows solves another task.",
    remedy="Fine-tune a smaller variant.",
    depends_on=("ART-101",),
    source="the course's rubric",
)
def model_keeps_within_its_limit(evidence: Evidence) -> None:
    """ART-105: the named model's parameters, and the adapter's."""
    if evidence.limits.parameters is None:
        raise Unavailable("no limit of parameters was given (--limit, --profile course)")
    if found := size_of(evidence).excess(evidence.limits, "parameters"):
        raise Failure(*found, f"{evidence.named_base} and its adapter")


def size_of(evidence: Evidence) -> Size:
    """The size of what was saved, projected onto the model that the submission names.

    Raises:
        Unavailable: that model's size is not known, or nothing was saved in peft's form.
    """
    if evidence.named_base is None:
        raise Unavailable("the model that it names is of no known size")
    return project(_weighed(evidence), str(evidence.workplace.base), evidence.named_base)


@check(
    "ART-106",
    "The embedding rows of added tokens are saved",
    level=Level.CONTRACT,
    why="A row that is not saved is initialised again whenever the vocabulary is resized, and training fitted the"
    " first values.",
    remedy="Save the rows: save_embedding_layers=True, modules_to_save, or trainable_token_indices.",
    depends_on=("ART-101",),
)
def added_rows_are_saved(evidence: Evidence) -> None:
    """ART-106: tensors of an embedding in the saved adapter, where training used tokens that the base lacks.

    Whether the rows are drawn alike when answering is for load to tell.
    """
    if not evidence.added:
        return
    saved = evidence.read_adapter(evidence.saved[saved_place(evidence)])
    if not any(word in name for name in saved for word in _ROWS):
        seen = f"rows of {len(evidence.added)} added tokens are not saved"
        raise Failure(seen, "their rows", f"ids {sorted(evidence.added)[:3]}")


def saved_place(evidence: Evidence) -> Path:
    """The saved adapter that counts."""
    if evidence.is_of_own_form:
        raise Unavailable("what is saved is in a form of its own")
    if evidence.place is None:
        raise Blocked("nothing was saved")
    return evidence.place


def name_place(evidence: Evidence, path: Path) -> str:
    """A path as a student knows it: from the folder that was handed in."""
    root = evidence.workplace.layout.root
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _weighed(evidence: Evidence) -> Path:
    """The adapter whose size counts: as saved, or as training left it where it is saved in a form of its own."""
    if evidence.is_of_own_form and evidence.trained:
        return evidence.trained_folder
    return evidence.saved[saved_place(evidence)]


def _largest(folder: Path) -> str:
    tensors = read_header(folder / "adapter_model.safetensors")
    return max(tensors, key=lambda name: math.prod(tensors[name].shape))


CHECKS: tuple[Check, ...] = (
    adapter_lies_where_it_is_loaded,
    saved_tensors_are_the_trained,
    adapter_keeps_within_limits,
    adapter_is_no_pickle,
    model_keeps_within_its_limit,
    added_rows_are_saved,
)
