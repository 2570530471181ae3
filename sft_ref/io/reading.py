"""Reads untrusted files: regular files of a limited size, and JSON with validated types.

Does not interpret them. A bad file raises the caller's error, with the file, the place in it and a remedy.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar

import msgspec
from msgspec import Meta

from sft_ref.errors import SftRefError

T = TypeVar("T")

Finite = Annotated[float, Meta(ge=-1e30, le=1e30)]
"""A msgspec type of numbers that are neither NaN nor infinite, both of which Python's JSON allows."""

MOST_BYTES = 100 * 2**20
"""Bytes of the largest file that is read into memory; the largest real ones have some megabytes."""

DEEPEST = 100
"""The most nested levels in JSON; many more would exhaust the stack."""


class UnreadableError(Exception):
    """A file cannot be read in its format; the message is the reason."""


@dataclass(frozen=True)
class Refusal:
    """The error to raise for a file that cannot be used, and the remedy for the user."""

    error: type[SftRefError]
    remedy: str

    def of(self, path: str | Path, reason: object) -> SftRefError:
        """Returns the error for one file."""
        return self.error(f"{shortened(path)}: cannot be read ({reason}); {self.remedy}")


def shortened(name: object) -> str:
    """Formats a name for an error message: long names are abbreviated, and lone surrogates are escaped."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 300 else f"{text[:100]}...{text[-50:]}"  # noqa: PLR2004


def kind_of(path: str | Path) -> Literal["file", "folder", "other"] | None:
    """Returns the kind of entry at a path, following links; None if there is none, or the path is invalid."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # treats an empty name as missing, unlike Path
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_folder(path: Path) -> bool:
    """Returns whether a path is a folder and not a link to one."""
    return kind_of(path) == "folder" and not path.is_symlink()


def why_no_path(path: str | Path) -> str:
    """Returns why a path is invalid, such as a name that is too long or a loop of links; empty if it is valid."""
    try:
        os.stat(path)  # noqa: PTH116  # as above
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:  # a zero byte, or a lone surrogate
        return f"it is not a valid file name: {error}"
    return ""


def read_bytes(path: str | Path, refusal: Refusal) -> bytes:
    """Returns the content of a regular file; links are followed.

    Raises:
        SftRefError: the error of `refusal`, if there is no such file, it is not a regular file, or it is too large.
    """
    try:
        return plain_bytes(Path(path))
    except UnreadableError as error:
        raise refusal.of(path, error) from error


def read_json(path: str | Path, type_: type[T], refusal: Refusal) -> T:
    """Returns the value in a JSON file.

    Args:
        path: file path.
        type_: type of the value, as msgspec understands it.
        refusal: the error for a file that cannot be used.

    Raises:
        SftRefError: the error of `refusal`, if the file cannot be read, is not JSON, or has a value of another type.
    """
    try:
        return json_of(plain_bytes(Path(path)), type_)
    except UnreadableError as error:
        raise refusal.of(path, error) from error


def plain_bytes(path: Path) -> bytes:
    """Returns the content of a regular file; links are followed.

    Raises:
        UnreadableError: there is no such file, it is not a regular file, or it is too large.
    """
    with open_plain(path) as file:
        content = file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_size <= MOST_BYTES else None
    if content is None or len(content) > MOST_BYTES:
        raise UnreadableError(f"it is larger than {MOST_BYTES // 2**20} MB")
    return content


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file for reading; links are followed, and pipes do not block.

    Raises:
        UnreadableError: there is no such file, it is not a regular file, or reading fails.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:  # Path.open takes no opener
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableError("it is not a regular file")
            yield file
    except OSError as error:
        raise UnreadableError(error.strerror or type(error).__name__) from error
    except ValueError as error:  # a name with a zero byte, or with a lone surrogate
        raise UnreadableError(f"it is not a valid file name: {error}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def json_of(content: bytes | str, type_: type[T]) -> T:
    """Returns the value of a JSON text.

    Raises:
        UnreadableError: it is not JSON, is nested too deeply, or has another type.
    """
    try:
        value = json.loads(content)
    except RecursionError as error:
        raise UnreadableError("it is nested too deeply") from error
    except ValueError as error:
        raise UnreadableError(f"it is not JSON: {error}") from error
    if _is_deep(value):
        raise UnreadableError(f"it is nested too deeply, in more than {DEEPEST} levels")
    return converted(value, type_)


def converted(value: object, type_: type[T], decode: Callable[[type, Any], object] | None = None) -> T:
    """Converts a JSON value to a type that msgspec understands.

    Args:
        value: value as read from JSON.
        type_: type to convert to.
        decode: converter to types that msgspec does not know: called with the type and the value, returns an object.

    Raises:
        UnreadableError: the value has another type; the message names the place.
    """
    try:
        return msgspec.convert(value, type_, dec_hook=decode, str_keys=True)
    except UnicodeEncodeError as error:  # msgspec encodes a text as UTF-8 to check its type
        raise UnreadableError("it has half a character (a lone surrogate)") from error
    except msgspec.ValidationError as error:
        reason = str(error).replace(" - at ", " at ")
        raise UnreadableError(reason[:1].lower() + reason[1:]) from error


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [*chain.from_iterable(_inner(each) for each in level if isinstance(each, dict | list))]
        if not level:
            return False
    return True


def _inner(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def has_half_a_character(text: str) -> bool:
    """Returns whether a text contains a lone surrogate, which JSON allows and tokenizers refuse."""
    return any("\ud800" <= each <= "\udfff" for each in text)
