"""Reads the headers of safetensors files: names, dtypes and shapes. Reads no tensor, and trusts no header."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from .reading import UnreadableError, converted, json_of, open_plain

_MOST_AXES = 16
_PREFIX = 8
"""Bytes of a safetensors file that contain the length of its header."""
_LARGEST_HEADER = 100_000_000
"""Largest number of bytes of a header that safetensors itself accepts."""

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
"""Bits per number, by safetensors' name of its dtype."""

FULL = frozenset({"F64", "F32", "F16", "BF16"})
EIGHT = frozenset({"F8_E4M3", "F8_E5M2"})
READABLE = FULL | EIGHT
"""Dtypes of floating-point numbers, by safetensors' names: of 16 bits and more, of 8 bits, and both."""

Shape = tuple[int, ...]


_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _TensorEntry(msgspec.Struct):
    """One tensor in a header."""

    dtype: str
    shape: Annotated[list[_Size], Meta(max_length=_MOST_AXES)]
    data_offsets: tuple[_Size, _Size]

    def check(self) -> None:
        """Raises UnreadableError if the tensor does not fill its bytes."""
        begin, end = self.data_offsets
        bits = BITS.get(self.dtype)
        if end < begin or (bits and (end - begin) * 8 != math.prod(self.shape) * bits):
            raise UnreadableError(f"a tensor of {reprlib.repr(self.dtype)} {self.shape} in {end - begin} bytes")


@dataclass(frozen=True)
class TensorHeader:
    """A tensor as its header describes it; `begin` is the byte of the file at which its numbers begin."""

    dtype: str
    shape: Shape
    file: Path
    begin: int


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Reads the header of a safetensors file, but no tensor.

    Raises:
        UnreadableError: the file is truncated, or its header does not describe its content.
    """
    table, begin, size = _read_table(path)
    table.pop("__metadata__", None)
    try:
        entries = converted(table, dict[str, _TensorEntry])
        for entry in entries.values():
            entry.check()
        _check_order(entries.values())
    except UnreadableError as error:
        raise UnreadableError(f"{path.name} has an invalid safetensors header ({error})") from error
    end = begin + max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if end > size:
        raise UnreadableError(f"{path.name} is cut short: {size} bytes, and its header describes {end}")
    if end < size:
        raise UnreadableError(f"{path.name} has {size - end} bytes more than its header describes")
    return {
        name: TensorHeader(entry.dtype, tuple(entry.shape), path, begin + entry.data_offsets[0])
        for name, entry in entries.items()
    }


def _check_order(entries: Iterable[_TensorEntry]) -> None:
    """Raises UnreadableError if tensors overlap or leave gaps, as safetensors itself does."""
    begin = 0
    for first, last in sorted(entry.data_offsets for entry in entries):
        if first != begin:
            raise UnreadableError(f"tensors {'overlap' if first < begin else 'leave a gap'} at byte {first}")
        begin = last


def read_metadata(path: Path) -> dict[str, str]:
    """Returns the metadata of a safetensors file.

    Raises:
        UnreadableError: the file is truncated, or its metadata is not JSON with text values.
    """
    return converted(_read_table(path)[0].get("__metadata__", {}), dict[str, str])


def _read_table(path: Path) -> tuple[dict[str, Any], int, int]:
    """Returns the header as JSON, the byte at which tensors begin, and the size of the file."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(_PREFIX), "little")
        if length > min(size - _PREFIX, _LARGEST_HEADER):
            raise UnreadableError(
                f"{path.name} is cut short or not a safetensors file: {size} bytes, and a header of {length}"
            )
        content = file.read(length)
    try:
        return json_of(content, dict[str, Any]), _PREFIX + length, size
    except UnreadableError as error:
        raise UnreadableError(f"{path.name} has an invalid safetensors header ({error})") from error
