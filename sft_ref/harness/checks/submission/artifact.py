"""Checks of the artifact: what is saved."""

from __future__ import annotations

from pathlib import PurePath

import torch

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.instruments.deltas import plain

ADAPTER, TENSORS = "adapter_config.json", "adapter_model.safetensors"


_ROWS = ("embed", "wte", "lm_head", "token_adapter", "trainable_tokens")
"""Parts of the names of tensors that hold rows of an embedding."""


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
    artifact = evidence.artifact
    if artifact.is_custom_form:
        return
    if not evidence.training.adapter:
        raise Unavailable("training left no adapter of peft's in memory")
    if not artifact.places:
        raise Failure("no adapter_config.json in any folder", "an adapter folder", artifact.wanted)
    if artifact.wanted not in artifact.places and artifact.read_from not in artifact.places:
        found = ", ".join(artifact.places[:3])
        expected = artifact.wanted if artifact.read_from is None else artifact.read_from
        raise Failure(f"an adapter in {found}", f"one in {expected}", "where it is loaded from")


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
    if evidence.artifact.is_custom_form:
        return "it is saved in a form of its own; once loaded, it gives training texts the loss that training left"
    adapter, training = evidence.artifact.counted, evidence.training
    saved = {plain(name): tensor for name, tensor in adapter.tensors.items()}
    if not saved:
        raise Failure(f"no {TENSORS} that can be read", "the adapter's tensors", adapter.place)
    for name, factor in training.scale.items():
        if adapter.scale.get(name) != factor:
            case = str(PurePath(adapter.place, ADAPTER))
            raise Failure(f"{name} {adapter.scale.get(name)}", f"{factor}, as trained", case, survivable=True)
    for name, tensor in training.adapter.items():
        if plain(name) not in saved:
            missing = len({plain(each) for each in training.adapter} - saved.keys())
            raise Failure(f"{missing} of {len(training.adapter)} tensors missing", "none", plain(name))
        due, found = tensor.float(), saved[plain(name)].float()
        if due.shape != found.shape:
            raise Failure(f"shape {tuple(found.shape)}", tuple(due.shape), plain(name))
        if torch.equal(due.isnan(), found.isnan()):  # NaN that was trained is training's matter
            due, found = due.nan_to_num(), found.nan_to_num()
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(saved[plain(name)].dtype)] * due.norm().item()
        if not (error := (found - due).norm().item()) <= allowed and not evidence.artifact.is_saved_well:
            blank = "; the saved one is blank" if "lora_B" in name and not found.any() else ""
            raise Failure(
                f"a difference of {error:.3g} where the norm is {due.norm():.3g}{blank}", f"{allowed:.2g}", plain(name)
            )
    return None


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
    added = evidence.examples.added
    if not added:
        return
    if not any(word in name for name in evidence.artifact.counted.tensors for word in _ROWS):
        raise Failure(f"rows of {len(added)} added tokens are not saved", "their rows", f"ids {list(added[:3])}")
