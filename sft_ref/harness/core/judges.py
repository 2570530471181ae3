"""User-defined judges: functions that decide whether an answer is right."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from sft_ref.errors import DataError

Judge = Callable[[Any, Any], bool]
"""Function of an answer and the true answer that returns whether the answer is right."""


def find_judge(name: str) -> Judge:
    """Imports the function named by ``module:function``; modules of the working directory are found as well.

    Raises:
        DataError: the function does not exist, or is not callable.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise DataError(f"--judge {name}: is not of the form module:function; give, for example, judges:is_right")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # importing the module may raise anything
        raise DataError(f"--judge {name}: cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(found):
        raise DataError(f"--judge {name}: is not a function; give one that takes an answer and the true answer")
    return checked(found, name)


def checked(judge: Judge, name: str) -> Judge:
    """Wraps a judge so that its exceptions become a `DataError` with the judge's name."""

    def judged(answer: object, truth: object) -> bool:
        try:
            return bool(judge(answer, truth))
        except Exception as error:
            raise DataError(f"--judge {name}: {type(error).__name__}: {error}, for {answer!r} and {truth!r}") from error

    return judged
