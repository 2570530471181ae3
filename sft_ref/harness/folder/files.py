"""Which files of an adapter folder hold its tensors, and what their headers say. Reads no tensor, opens no pickle."""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sft_ref.adapter import CONFIG, WEIGHTS
from sft_ref.errors import SubmissionError

INDEX = f"{WEIGHTS}.index.json"
PICKLE = "adapter_model.bin"
_SHARD = re.compile(r"adapter_model-(\d+)-of-(\d+)\.safetensors")
_ENDS = 2
_PREFIX = 8
"""Bytes of a safetensors file that tell the length of its header."""
_LARGEST_TEXT = 10_000_000
"""Bytes of a JSON file that is read; a real one has a few thousand."""
_LARGEST_HEADER = 100_000_000
"""Bytes of a header that safetensors itself accepts."""

BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "I64": 64,
    "I32": 32,
    "I16": 16,
    "I8": 8,
    "U64": 64,
    "U32": 32,
    "U16": 16,
    "U8": 8,
    "BOOL": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
    "C64": 64,
}
"""Size of a number, by safetensors' name of its dtype."""

FULL = frozenset({"F64", "F32", "F16", "BF16"})
EIGHT = frozenset({"F8_E4M3", "F8_E5M2"})
READABLE = FULL | EIGHT
"""Dtypes of floating-point numbers, by safetensors' names: of 16 bits and more, of 8 bits, and both."""

Shape = tuple[int, ...]


class DamagedError(Exception):
    """A file cannot be read as what its name says; the message names the file and the reason."""


@dataclass(frozen=True)
class Header:
    """One tensor as a header describes it."""

    dtype: str
    shape: Shape
    file: Path


@dataclass(frozen=True)
class Files:
    """The files of one adapter.

    Attributes:
        folder: of the adapter.
        weights: the safetensors files, in order; one, or the shards.
        shards: how many shards there ought to be by the index, or else by the names; 0 where there are none.
        index: tensor -> name of the shard that the index gives to it; None without an index.
        missing: names of shards that are not there.
        has_pickle: whether `adapter_model.bin` lies there.
        damage: why a file cannot be read; empty where all can.
        headers: tensor -> what its file's header says, of all files.
    """

    folder: Path
    weights: tuple[Path, ...] = ()
    shards: int = 0
    index: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()
    has_pickle: bool = False
    damage: str = ""
    headers: Mapping[str, Header] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Tensor -> shape."""
        return {name: header.shape for name, header in self.headers.items()}


def find_files(folder: Path) -> Files:
    """The files that hold an adapter's tensors, with their headers.

    Raises:
        SubmissionError: one of them is a link that leads out of the folder.
    """
    files = Files(folder, has_pickle=is_file(folder / PICKLE))
    try:
        single = is_file(folder / WEIGHTS)
        files = replace(files, weights=(folder / WEIGHTS,)) if single else _find_shards(files)
        headers: dict[str, Header] = {}
        for path in files.weights:
            headers |= read_header(path)
    except DamagedError as error:
        return replace(files, damage=str(error))
    return replace(files, headers=headers)


def _find_shards(files: Files) -> Files:
    """The shards that are there, and those that ought to be."""
    found = [path for path in sorted(files.folder.iterdir()) if _SHARD.fullmatch(path.name) and is_file(path)]
    index = _read_index(files.folder / INDEX) if is_file(files.folder / INDEX) else None
    wanted = set(index.values()) if index is not None else _named_shards(found)
    missing = tuple(sorted(wanted - {path.name for path in found}))
    return replace(files, weights=tuple(found), shards=len(wanted), index=index, missing=missing)


def named_adapters(folder: Path) -> tuple[str, ...]:
    """Names of the folders in an adapter folder that hold an adapter each: other adapters, and checkpoints."""
    return tuple(sorted(path.name for path in folder.iterdir() if is_folder(path) and (path / CONFIG).is_file()))


def is_folder(path: Path) -> bool:
    """Whether it is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def is_file(path: Path) -> bool:
    """Whether it is a plain file, or a link that stays in the folder or in the hub's cache around it.

    Raises:
        SubmissionError: it is a link that leads elsewhere.
    """
    if path.is_symlink():
        target, own = path.resolve(), path.parent.resolve()
        blobs = next((each.parent / "blobs" for each in own.parents if each.name == "snapshots"), own)
        if not (target.is_relative_to(own) or target.is_relative_to(blobs)):
            raise SubmissionError(f"{path}: is a link that leads out of its folder; put the file itself there")
        path = target
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_json(path: Path) -> dict[str, object]:
    """A JSON file that holds an object.

    Raises:
        DamagedError: it is larger than any real one, or no such JSON.
    """
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise DamagedError(f"{path.name} has {path.stat().st_size} bytes, more than any real one")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise DamagedError(f"{path.name} holds a {type(content).__name__}, not an object")
    return content


def read_header(path: Path) -> dict[str, Header]:
    """What the header of a safetensors file says; no tensor is read.

    Raises:
        DamagedError: the file is cut short, or its header does not describe what lies behind it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_PREFIX), "little")
        if length > min(size - _PREFIX, _LARGEST_HEADER):
            raise DamagedError(f"{path.name} is cut short or no safetensors: {size} bytes, a header of {length}")
        try:
            table = json.loads(file.read(length))
            entries = {name: about for name, about in table.items() if name != "__metadata__"}
            found = {name: _entry(about, path) for name, about in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedError(f"{path.name} has a header that is no safetensors' ({error})") from error
    end = max((about["data_offsets"][1] for about in entries.values()), default=0)
    if _PREFIX + length + end > size:
        raise DamagedError(
            f"{path.name} is cut short: {size} bytes of the {_PREFIX + length + end} that its header tells of"
        )
    return found


def _entry(about: Mapping[str, Any], path: Path) -> Header:
    dtype, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not (isinstance(dtype, str) and _is_sizes(shape) and _is_sizes(offsets) and len(offsets) == _ENDS):
        raise ValueError(f"a tensor is described by {str(about)[:100]}")
    size = offsets[1] - offsets[0]
    if dtype in BITS and size * 8 != math.prod(shape) * BITS[dtype]:
        raise ValueError(f"a tensor of {dtype} {shape} in {size} bytes")
    return Header(dtype, tuple(shape), path)


def _is_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _read_index(path: Path) -> Mapping[str, str]:
    table = read_json(path).get("weight_map")
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise DamagedError(f"{path.name} holds no weight_map from tensors to files")
    return table


def _named_shards(weights: Iterable[Path]) -> set[str]:
    """Names of all shards, by the number that each name ends in; a real number of them."""
    wanted = set()
    for path in weights:
        match = _SHARD.fullmatch(path.name)
        total = int(match.group(2)) if match else 0
        if match and total <= 1000:  # noqa: PLR2004  # more shards than any adapter has
            wanted |= {f"adapter_model-{n:0{len(match[1])}d}-of-{match[2]}.safetensors" for n in range(1, total + 1)}
    return wanted
