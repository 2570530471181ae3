"""Keeps the Python processes that a command starts from importing modules of the working folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_NAME = "PYTHONSAFEPATH"


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Within it, a new Python process does not import modules of its working folder.

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
