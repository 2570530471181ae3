"""Keeps the Python processes that a command starts from importing modules of the working folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_NAME = "PYTHONSAFEPATH"


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Prevents new Python processes from importing modules of their working folder within the context.

    `multiprocessing` starts its processes with `python -c`, which searches the working folder first: files of a
    submission with the names of standard modules would be executed there.
    """
    before = os.environ.get(_NAME)
    os.environ[_NAME] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NAME]
        else:
            os.environ[_NAME] = before
