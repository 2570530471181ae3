"""What is wrong most often in a class. Knows no report and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .graded import Grade
from .verdict import Verdict

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Cause:
    """A stage and a cause, and the submissions that it is found in.

    Attributes:
        cause: in the words of the first of them; numbers may differ in the others.
    """

    stage: str
    cause: str
    paths: tuple[str, ...]


def count_causes(grades: Iterable[Grade]) -> list[Cause]:
    """The causes found in a class, the most frequent first. Those that differ in numbers alone are one."""
    words: dict[tuple[str, str], str] = {}
    paths: dict[tuple[str, str], dict[str, None]] = {}
    for grade in grades:
        for suspect in grade.suspects if isinstance(grade, Verdict) else ():
            key = (suspect.stage, _NUMBER.sub("#", suspect.cause))
            words.setdefault(key, suspect.cause)
            paths.setdefault(key, {})[grade.path] = None
    found = [Cause(key[0], cause, tuple(paths[key])) for key, cause in words.items()]
    return sorted(found, key=lambda cause: -len(cause.paths))
