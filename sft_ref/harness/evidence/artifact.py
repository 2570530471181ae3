"""The artifact stage: the files that training leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch

from sft_ref.harness.core.findings import Blocked, Unavailable
from sft_ref.harness.core.sizes import Size
from sft_ref.io.lora_config import PICKLE, WEIGHTS

_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Endings of files that torch.save or pickle wrote."""

_TRAINERS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"})
"""Pickles that Trainer leaves beside an adapter."""


@dataclass(frozen=True)
class SavedAdapter:
    """The saved adapter that counts: the one that is loaded, else the one where it was wanted, else the first.

    Attributes:
        place: its folder, as the user knows it.
        tensors: of its safetensors file; empty where that cannot be read.
        scale: what its configuration says of the factor of its tensors.
        files: names of its files.
        before, after: fingerprints of its tensors' file before and after it was loaded; empty where there is none.
    """

    place: str
    tensors: Mapping[str, torch.Tensor]
    scale: Mapping[str, Any]
    files: frozenset[str]
    before: str
    after: str


@dataclass(frozen=True)
class Artifact:
    """What training saves.

    Attributes:
        wanted: the folder where the adapter is wanted, as the user knows it.
        read_from: the folder that an adapter was loaded from; None where none was seen.
        places: folders that hold an adapter.
        saved: the adapter that counts; None where there is none.
        tensor_names: of all saved adapters.
        is_loaded_as_trained: whether what training left is loaded, in whatever form it is saved.
        is_custom_form: the same, and it is not saved as peft saves it.
        is_saved_right: whether what training left is saved where it is loaded from.
        is_saved_well: the same, or what is saved answers fresh questions no worse.
        output_files: names of the files in the wanted folder.
        output_bytes: of files with tensors, there and beneath.
        base_bytes: of the base's weights.
        size: projected onto the model that is named; None where it cannot be.
        size_unknown: why it cannot be.
        largest_tensor: its name.
        named_base: the model of known size that is named.
    """

    wanted: str
    read_from: str | None
    places: tuple[str, ...]
    saved: SavedAdapter | None
    tensor_names: frozenset[str]
    is_loaded_as_trained: bool
    is_custom_form: bool
    is_saved_right: bool
    is_saved_well: bool
    output_files: frozenset[str]
    output_bytes: int
    base_bytes: int
    size: Size | None
    size_unknown: str
    largest_tensor: str
    named_base: str | None

    @property
    def counted(self) -> SavedAdapter:
        """The saved adapter that counts.

        Raises:
            Unavailable: what is saved is no adapter of peft's.
            Blocked: nothing is saved.
        """
        if self.is_custom_form:
            raise Unavailable("what is saved is in a form of its own")
        if self.saved is None:
            raise Blocked("nothing was saved")
        return self.saved

    @property
    def pickles(self) -> tuple[str, ...]:
        """Names of the files that hold the tensors, where they are pickles.

        Raises:
            Blocked: nothing is saved.
        """
        if not self.is_custom_form:
            files = self.counted.files
            return (PICKLE,) if PICKLE in files and WEIGHTS not in files else ()
        if any(name.endswith(".safetensors") for name in self.output_files):
            return ()
        return tuple(sorted(n for n in self.output_files - _TRAINERS if PurePath(n).suffix in _PICKLES))
