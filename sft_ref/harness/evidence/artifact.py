"""Evidence of the artifact stage: the files that training saves."""

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
"""Suffixes of files written by torch.save or pickle."""

_TRAINERS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"})
"""Pickles that Trainer saves beside an adapter."""


@dataclass(frozen=True)
class SavedAdapter:
    """The saved adapter that counts: the loaded one, else the one in the requested folder, else the first.

    Attributes:
        place: its folder, as a path relative to the submission if possible.
        tensors: the tensors of its safetensors file; empty if that cannot be read.
        scale: the configuration values that determine the scaling of its tensors.
        files: names of its files.
        before, after: fingerprints of its tensor file before and after it was loaded; empty if there is none.
    """

    place: str
    tensors: Mapping[str, torch.Tensor]
    scale: Mapping[str, Any]
    files: frozenset[str]
    before: str
    after: str


@dataclass(frozen=True)
class Artifact:
    """The files that training saves.

    Attributes:
        wanted: the folder where the adapter has to be saved, as a path relative to the submission if possible.
        read_from: the folder from which an adapter was loaded; None if no loading was observed.
        places: folders that contain an adapter.
        saved: the adapter that counts; None if there is none.
        tensor_names: tensor names of all saved adapters.
        is_loaded_as_trained: whether the trained weights are loaded, in whatever form they are saved.
        is_custom_form: whether the trained weights are loaded, but were not saved in peft's format.
        is_saved_right: whether the trained weights are saved in the place from which they are loaded.
        is_saved_well: like `is_saved_right`, or the saved adapter answers fresh questions no worse than the trained
            one.
        output_files: names of the files in the `wanted` folder.
        output_bytes: bytes of the files with tensors in that folder and its subfolders.
        base_bytes: bytes of the base model's weights.
        size: the size projected onto the named base model; None if it cannot be projected.
        size_unknown: why the size cannot be projected.
        largest_tensor: name of the largest tensor.
        named_base: the model of known size that the submission names; None if there is none.
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
            Unavailable: the saved files are not a peft adapter.
            Blocked: nothing is saved.
        """
        if self.is_custom_form:
            raise Unavailable("the adapter is saved in a custom format")
        if self.saved is None:
            raise Blocked("nothing was saved")
        return self.saved

    @property
    def pickles(self) -> tuple[str, ...]:
        """Names of the files that contain the tensors, if they are pickles.

        Raises:
            Blocked: nothing is saved.
        """
        if not self.is_custom_form:
            files = self.counted.files
            return (PICKLE,) if PICKLE in files and WEIGHTS not in files else ()
        if any(name.endswith(".safetensors") for name in self.output_files):
            return ()
        return tuple(sorted(n for n in self.output_files - _TRAINERS if PurePath(n).suffix in _PICKLES))
