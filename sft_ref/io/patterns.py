"""Decides whether a regular expression of an untrusted configuration can be matched in reasonable time."""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

_LONGEST = 4000
"""Largest number of characters of a pattern; the longest patterns that tools write name a few dozen modules."""

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_GROUPS = (_constants.SUBPATTERN, _constants.ASSERT, _constants.ASSERT_NOT, _constants.ATOMIC_GROUP)
_MANY = 8
"""Largest number of unbounded repetitions in a row; matching tries all ways to divide a name among them."""


def is_pattern(text: str) -> bool:
    """Returns whether a text is a regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def is_harmless(pattern: str) -> bool:
    """Returns whether a pattern has no alternatives inside a repetition, and not too many repetitions in a row.

    Each alternative inside a repetition, or a nested repetition, may double the ways to match with every character.
    """
    if len(pattern) > _LONGEST:
        return False
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return True  # it is never matched: peft refuses it
    return _repetitions(tree) <= _MANY


def _repetitions(tree: Any) -> int:  # noqa: ANN401
    """Counts the most repetitions on a path through a parsed pattern; above `_MANY` if one contains alternatives."""
    total = 0
    for operation, argument in tree:
        if operation in _REPEATS:
            _, most, inner = argument
            if most == 1:
                total += _repetitions(inner)
            else:
                total += _MANY + 1 if _has_choice(inner) else 1
        elif operation is _constants.BRANCH:
            total += max(map(_repetitions, argument[1]))
        elif operation in _GROUPS:
            total += _repetitions(argument[-1])
    return total


def _has_choice(tree: Any) -> bool:  # noqa: ANN401
    return any(
        operation in _REPEATS or operation is _constants.BRANCH or (operation in _GROUPS and _has_choice(argument[-1]))
        for operation, argument in tree
    )
