"""Reads the weights of a model one at a time, from one safetensors file or from shards."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from sft_ref.harness.recorders.folder.files import is_file
from sft_ref.io.base_config import INDEX, WEIGHTS
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import READABLE, TensorHeader, read_header

from .streaming import read_tensor

_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


class StoredModel:
    """The weights in a model's folder, by name. A weight is read on each access, and not kept.

    Args:
        folder: folder of the model, as transformers writes it.
        may_lack_shards: whether the shards that are there suffice.

    Attributes:
        files: the files, in order.
        headers: headers of the weights, by name.

    Raises:
        UnreadableError: there are no weights, a shard is missing, or a file is damaged.
    """

    def __init__(self, folder: Path, *, may_lack_shards: bool = False) -> None:
        self.files = _files_of(folder, may_lack_shards=may_lack_shards)
        self.headers: dict[str, TensorHeader] = {}
        for path in self.files:
            self.headers |= read_header(path)

    @property
    def unreadable_dtypes(self) -> frozenset[str]:
        """Dtypes of its tensors that are not floating-point: those of a quantised model."""
        return frozenset(header.dtype for header in self.headers.values()) - READABLE

    def find(self, name: str) -> str | None:
        """Finds a weight's name in these files, which may omit its first part or prepend one."""
        if name in self.headers:
            return name
        return next((each for each in self.headers if each.endswith(f".{name}") or name.endswith(f".{each}")), None)

    def read(self, name: str) -> torch.Tensor:
        """Reads one weight, in its stored dtype."""
        return read_tensor(self.headers[name])


def _files_of(folder: Path, *, may_lack_shards: bool) -> list[Path]:
    if is_file(folder / WEIGHTS):
        return [folder / WEIGHTS]
    shards = [
        path for path in sorted(folder.glob("model-*.safetensors")) if _SHARD.fullmatch(path.name) and is_file(path)
    ]
    if not shards:
        raise UnreadableError(f"no {WEIGHTS} and no shards of it")
    if may_lack_shards:
        return shards
    wanted = int(shards[0].stem.rpartition("-")[2])
    if len(shards) != wanted:
        raise UnreadableError(f"{len(shards)} of {wanted} shards are there ({INDEX} lists them)")
    return shards
