"""Distinguishes the records of `train` from those that a witness of another training writes under the same name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sft_ref.io.reading import UnreadableError, json_of, kind_of, plain_bytes

FORMAT_OF_WITNESS = 2
"""Value of the key `format` in a witness's record; records of `train` have no such key."""


class RecordFormat(msgspec.Struct):
    """The key that distinguishes the two formats."""

    format: int | None = None


def is_ours(path: Path) -> bool:
    """Returns whether the file exists and is not a witness's record, which names no policy; a damaged file counts."""
    if kind_of(path) is None and not path.is_symlink():
        return False
    try:
        return json_of(plain_bytes(path), RecordFormat).format is None
    except UnreadableError:  # reading the record will raise the error
        return True
