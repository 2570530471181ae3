"""Wraps libraries that read untrusted files: whatever they raise becomes one error of this package."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from sft_ref.errors import SftRefError


@contextlib.contextmanager
def foreign_files(error: type[SftRefError], problem: str, remedy: str = "") -> Iterator[None]:
    """Turns any exception of a library within its context into one error with a one-line message; hides its warnings.

    Untrusted files break libraries in too many ways to list, so only errors of this package pass unchanged.

    Args:
        error: class of the error to raise.
        problem: description of the failure, with the name of the file or folder.
        remedy: remedy for the user; empty if the cause implies it.

    Raises:
        SftRefError: `error`, with the problem, the cause and the remedy.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SftRefError:
        raise
    except BaseException as cause:
        if not is_failure(cause):
            raise
        raise error(f"{problem} ({first_line(cause)}){remedy and f'; {remedy}'}") from cause


def is_failure(error: BaseException) -> bool:
    """Returns whether an exception is an error and not a request to exit; a panic in Rust is not an `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """Returns the message of an exception in one line of limited length; its class if it has no message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else ""
    known = isinstance(error, OSError | ValueError | RuntimeError) and text
    return (text if known else f"{type(error).__name__}: {text}" if text else type(error).__name__)[:300]
