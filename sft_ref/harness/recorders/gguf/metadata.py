"""Reads the metadata of a GGUF file without trusting its counts and lengths. No tensor is read.

The layout is specified in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. The file is read
from front to back in small pieces, so that a count or length that exceeds the file is refused at the end of the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from sft_ref.io.reading import UnreadableError, open_plain

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value type number -> `struct` format character."""
_TEXT, _ARRAY = 8, 9

_MOST_KEYS, _MOST_TENSORS = 10_000, 1_000_000
_LONGEST_KEY, _LONGEST_TEXT = 2**16, 2**22
_MOST_ITEMS, _MOST_BYTES = 2**20, 2**26
"""Limits on the items of an array and the bytes of all metadata; real files reach half a million items and a few MB."""
_MOST_AXES = 8


def read_metadata(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Reads metadata values of a GGUF file, by key.

    Args:
        path: path of the GGUF file.
        wanted: keys whose values are kept; the others are skipped.

    Raises:
        UnreadableError: the file is not GGUF of a supported version, is cut short, or claims absurd sizes.
    """
    with open_plain(path) as file:
        return _Reader(file).read(wanted)


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, wanted: Collection[str]) -> dict[str, Any]:
        if self.file.read(len(_MAGIC)) != _MAGIC:
            raise UnreadableError("it is not a GGUF file: it does not begin with GGUF")
        version = self._number("I")
        if version not in _VERSIONS:
            raise UnreadableError(
                f"its GGUF version is {version:,}, or its byte order is unusual; only versions 2 and 3 can be read"
            )
        tensors = self._count("tensors", _MOST_TENSORS)
        found: dict[str, Any] = {}
        keys: set[str] = set()
        for _ in range(self._count("keys", _MOST_KEYS)):
            key = self._text(_LONGEST_KEY)
            value = self._value(self._number("I"), keep=key in wanted)
            if not key or key in keys:
                raise UnreadableError(f"it has the key {key[:80]!r} twice" if key else "it has a key without a name")
            keys.add(key)
            if key in wanted:
                found[key] = value
        self._check_tensors(tensors)
        return found

    def _check_tensors(self, number: int) -> None:
        """Raises UnreadableError if the file ends before the last tensor begins; reads their headers only."""
        last = 0
        for _ in range(number):
            self._text(_LONGEST_KEY)
            axes = self._number("I")
            if axes > _MOST_AXES:
                raise UnreadableError(f"it has a tensor of {axes:,} axes")
            self._take(8 * axes + 4)
            last = max(last, self._number("Q"))
        if number and self.file.tell() + last >= self.size:
            raise UnreadableError(f"it is cut short: a tensor begins at byte {last:,} of {self.size:,}")

    def _value(self, kind: int, *, keep: bool) -> Any:  # noqa: ANN401
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == _TEXT:
            return self._text(_LONGEST_TEXT)
        if kind != _ARRAY:
            raise UnreadableError(f"it has a value of type {kind:,}, which GGUF does not have")
        item, length = self._number("I"), self._count("items", _MOST_ITEMS)
        if item in _NUMBERS:
            format_ = f"<{length}{_NUMBERS[item]}"
            content = self._take(struct.calcsize(format_))
            return list(struct.unpack(format_, content)) if keep else None
        if item != _TEXT:
            raise UnreadableError(f"it has an array of type {item:,}, which cannot be read")
        texts = (self._text(_LONGEST_TEXT) for _ in range(length))
        return list(texts) if keep else sum(1 for _ in texts)

    def _count(self, what: str, most: int) -> int:
        count = int(self._number("Q"))
        if count > most:
            raise UnreadableError(f"it claims {count:,} {what}; at most {most:,} are read")
        return count

    def _number(self, format_: str) -> Any:  # noqa: ANN401  # an int, a float or a bool
        return struct.unpack(f"<{format_}", self._take(struct.calcsize(f"<{format_}")))[0]

    def _text(self, longest: int) -> str:
        length = int(self._number("Q"))
        if length > longest:
            raise UnreadableError(f"it has a text of {length:,} bytes; at most {longest:,} are read")
        return self._take(length).decode("utf-8", errors="replace")

    def _take(self, number: int) -> bytes:
        at = self.file.tell()
        if at + number > min(self.size, _MOST_BYTES):
            raise UnreadableError(f"it is cut short, or its metadata is too long: byte {at:,} of {self.size:,}")
        return self.file.read(number)
