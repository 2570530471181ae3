"""Tells the records of `train` from those that a witness of another training writes under the same name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sft_ref.io.reading import UnreadableError, json_of, kind_of, plain_bytes

FORMAT_OF_WITNESS = 2
"""The key `format` of a witness's record; those of `train` have none."""


class RecordFormat(msgspec.Struct):
    """The key that tells the two apart."""

    format: int | None = None


def is_ours(path: Path) -> bool:
    """Whether there is a record of `train`'s, or something that is none at all; a witness's names no policy."""
    if kind_of(path) is None and not path.is_symlink():
        return False
    try:
        return json_of(plain_bytes(path), RecordFormat).format is None
    except UnreadableError:  # whoever reads it says what it is
        return True
