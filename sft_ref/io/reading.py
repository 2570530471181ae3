"""Reads files that a user or a stranger wrote: plain files of a limited size, and JSON of the types that are due.

Knows nothing of what the files mean. What is wrong with one becomes the caller's error, with the file, the place in it
and what to do.
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
"""A number as msgspec checks it: neither NaN nor infinite, which Python's JSON may hold."""

MOST_BYTES = 100 * 2**20
"""Of a file that is read whole; the largest real ones have some megabytes."""

DEEPEST = 100
"""Levels of lists and objects in JSON; many more would exhaust the stack of whatever looks at them."""


class UnreadableError(Exception):
    """A file cannot be read as what it should be; the message is the reason."""


@dataclass(frozen=True)
class Refusal:
    """How a file that cannot be used is refused: the error to raise, and what the user is to do."""

    error: type[SftRefError]
    remedy: str

    def of(self, path: str | Path, reason: object) -> SftRefError:
        """The error for one file."""
        return self.error(f"{shortened(path)}: cannot be read ({reason}); {self.remedy}")


def shortened(name: object) -> str:
    """A name as a message can hold it: a long one loses its middle, and half a character is written as its code."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 300 else f"{text[:100]}...{text[-50:]}"  # noqa: PLR2004


def kind_of(path: str | Path) -> Literal["file", "folder", "other"] | None:
    """What stands at a path, links followed; None where nothing does, or where no path can be named so."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # takes an empty name for none, as Path does not
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_folder(path: Path) -> bool:
    """Whether it is a folder, and no link to one."""
    return kind_of(path) == "folder" and not path.is_symlink()


def why_no_path(path: str | Path) -> str:
    """Why nothing can stand at a path, such as a name that is too long or a loop of links; empty where it can."""
    try:
        os.stat(path)  # noqa: PTH116  # as above
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:  # of a zero byte, or half a character
        return f"it is no name of a file: {error}"
    return ""


def read_bytes(path: str | Path, refusal: Refusal) -> bytes:
    """The content of a plain file; links are followed.

    Raises:
        SftRefError: `refusal`'s: there is no such file, it is a folder, pipe or device, or it is too large.
    """
    try:
        return plain_bytes(Path(path))
    except UnreadableError as error:
        raise refusal.of(path, error) from error


def read_json(path: str | Path, type_: type[T], refusal: Refusal) -> T:
    """The value that a JSON file holds.

    Args:
        path: of the file.
        type_: that the value must have, as msgspec understands it.
        refusal: of a file that cannot be used.

    Raises:
        SftRefError: `refusal`'s: the file cannot be read, is no JSON, or holds a value of another type.
    """
    try:
        return json_of(plain_bytes(Path(path)), type_)
    except UnreadableError as error:
        raise refusal.of(path, error) from error


def plain_bytes(path: Path) -> bytes:
    """The content of a plain file; links are followed.

    Raises:
        UnreadableError: there is no such file, it is no plain file, or it is too large.
    """
    with open_plain(path) as file:
        content = file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_size <= MOST_BYTES else None
    if content is None or len(content) > MOST_BYTES:
        raise UnreadableError(f"at most {MOST_BYTES // 2**20} MB are read")
    return content


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """A plain file, open for reading; links are followed, and a pipe is not waited for.

    Raises:
        UnreadableError: there is no such file, it is no plain file, or reading fails.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:  # Path.open takes no opener
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableError("it is no plain file")
            yield file
    except OSError as error:
        raise UnreadableError(error.strerror or type(error).__name__) from error
    except ValueError as error:  # of a name with a zero byte, or with half a character
        raise UnreadableError(f"it is no name of a file: {error}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def json_of(content: bytes | str, type_: type[T]) -> T:
    """The value of a JSON text.

    Raises:
        UnreadableError: it is no JSON, is nested too deeply, or holds a value of another type.
    """
    try:
        value = json.loads(content)
    except RecursionError as error:
        raise UnreadableError("it is nested too deeply") from error
    except ValueError as error:
        raise UnreadableError(f"it is no JSON: {error}") from error
    if _is_deep(value):
        raise UnreadableError(f"it is nested too deeply, in more than {DEEPEST} levels")
    return converted(value, type_)


def converted(value: object, type_: type[T], decode: Callable[[type, Any], object] | None = None) -> T:
    """A value that JSON held, as a type that msgspec understands.

    Args:
        value: as JSON held it.
        type_: that it should have.
        decode: converts to types that msgspec does not know: called with the type and the value, gives an object.

    Raises:
        UnreadableError: it has another type; the message has the place.
    """
    try:
        return msgspec.convert(value, type_, dec_hook=decode, str_keys=True)
    except UnicodeEncodeError as error:  # msgspec reads a text as UTF-8 to see its type
        raise UnreadableError("it holds half a character") from error
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
    """Whether a text holds a lone surrogate: half of a character, which JSON can write and no tokenizer reads."""
    return any("\ud800" <= each <= "\udfff" for each in text)
