"""A function of the user's own that says when an answer is right."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from sft_ref.errors import DataError

Judge = Callable[[Any, Any], bool]
"""Whether an answer is right, where the second argument is the true one."""


def find_judge(name: str) -> Judge:
    """The function that ``module:function`` names; the working directory's modules are found, too.

    Raises:
        DataError: there is none, or it cannot be called.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise DataError(f"--judge {name}: is no module:function")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise DataError(f"--judge {name}: cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(found):
        raise DataError(f"--judge {name}: is no function; give one of an answer and the true one")
    return checked(found, name)


def checked(judge: Judge, name: str) -> Judge:
    """The function, whose exceptions are errors of the user's with its name."""

    def judged(answer: object, truth: object) -> bool:
        try:
            return bool(judge(answer, truth))
        except Exception as error:
            raise DataError(f"--judge {name}: {type(error).__name__}: {error}, for {answer!r} and {truth!r}") from error

    return judged
