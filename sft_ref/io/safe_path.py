"""Modules in the working folder are not imported by the Python processes that a command starts for itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_NAME = "PYTHONSAFEPATH"


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Within it, a Python that is started does not look for modules where it is started.

    `multiprocessing` starts its processes by `python -c`, which looks there first: in the folder of a submission its
    files would be executed, if they have the names of standard modules.
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
