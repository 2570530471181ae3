"""The boundary around a library that reads foreign files: whatever it raises becomes one error of ours."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from sft_ref.errors import SftRefError


@contextlib.contextmanager
def foreign_files(error: type[SftRefError], problem: str, remedy: str = "") -> Iterator[None]:
    """Within it, any exception of a library is one error in one line; the library's warnings are not shown.

    Foreign files break libraries in more ways than anyone can list, so nothing but our own errors passes.

    Args:
        error: to raise.
        problem: what does not work, with the name of the file or folder.
        remedy: what to do; left out where the cause says it.

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
    """Whether something broke, and nobody asked for an end: what a library in Rust raises is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """What an exception says, in one line that is not too long; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else ""
    known = isinstance(error, OSError | ValueError | RuntimeError) and text
    return (text if known else f"{type(error).__name__}: {text}" if text else type(error).__name__)[:300]
