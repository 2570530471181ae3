"""Regular expressions in foreign configurations: whether matching one ends in a reasonable time."""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

_LONGEST = 4000
"""Characters; the longest that tools write name a few dozen modules."""

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_MANY = 8
"""Open repetitions beside each other, of which matching tries all ways to share a name out."""


def is_harmless(pattern: str) -> bool:
    """Whether a pattern is a regular expression without a repetition in a repetition, and without too many in a row."""
    if len(pattern) > _LONGEST:
        return False
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return True  # no matching begins; peft refuses it in a line
    return _repetitions(tree) <= _MANY


def _repetitions(tree: Any) -> int:  # noqa: ANN401
    """Open repetitions on the worst way through a parsed pattern; more than allowed where one holds another."""
    total = 0
    for operation, argument in tree:
        if operation in _REPEATS:
            _, most, inner = argument
            within = _repetitions(inner)
            if most is _constants.MAXREPEAT or most > 1:
                total += _MANY + 1 if within else most is _constants.MAXREPEAT
            else:
                total += within
        elif operation is _constants.BRANCH:
            total += max(map(_repetitions, argument[1]))
        elif operation is _constants.SUBPATTERN:
            total += _repetitions(argument[-1])
        elif operation in (_constants.ASSERT, _constants.ASSERT_NOT):
            total += _repetitions(argument[1])
    return total
