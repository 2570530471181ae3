"""Checks of the stage artifact: the saved adapter."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence import Evidence

_ROWS = ("embed", "wte", "lm_head", "token_adapter", "trainable_tokens")
"""Substrings of the names of tensors that contain embedding rows."""


@check(
    "ART-101",
    "Training saves an adapter in the folder that is loaded",
    why="An adapter that is saved elsewhere, or not at all, is not the one that answers.",
    remedy="Save to the requested folder, and load from the same one; build its path from the module's __file__.",
    source="S9, A6",
    depends_on=("TRN-101",),
)
def adapter_lies_where_it_is_loaded(evidence: Evidence) -> None:
    """ART-101: Examines every adapter folder that is new after training."""
    artifact = evidence.artifact
    if artifact.is_custom_form:
        return
    if not evidence.training.adapter:
        raise Unavailable("training left no adapter of peft's in memory")
    if not artifact.places:
        raise Failure("training saves no adapter_config.json in any folder", "an adapter folder", artifact.wanted)
    if artifact.wanted not in artifact.places and artifact.read_from not in artifact.places:
        found = ", ".join(artifact.places[:3])
        expected = artifact.wanted if artifact.read_from is None else artifact.read_from
        raise Failure(f"the adapter is saved in {found}", f"one in {expected}", "where it is loaded from")


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
    """ART-106: Requires embedding tensors in the saved adapter if training used tokens that the base lacks.

    The stage load reports whether the rows are the same at inference.
    """
    added = evidence.examples.added
    if not added:
        return
    if not any(word in name for name in evidence.artifact.counted.tensors for word in _ROWS):
        raise Failure(
            f"the embedding rows of {len(added)} added tokens are not saved", "their rows", f"ids {list(added[:3])}"
        )
