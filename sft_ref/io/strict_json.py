"""Writes strict JSON, which every parser accepts: no NaN, no infinity, no lone surrogates."""

from __future__ import annotations

import json
import math
from typing import Any


def strict(value: Any, digits: int | None = None) -> Any:  # noqa: ANN401  # whatever JSON holds
    """Replaces NaN and infinity by None, and lone surrogates by a replacement character.

    Args:
        value: a value of dicts, lists, tuples, texts and numbers.
        digits: decimals to which numbers are rounded; None keeps all.
    """
    if isinstance(value, dict):
        return {strict(key): strict(each, digits) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(each, digits) for each in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return None if not math.isfinite(value) else value if digits is None else round(value, digits)
    return value


def to_text(value: object) -> str:
    """Returns the text of a JSON file.

    Raises:
        ValueError: the value contains NaN or infinity.
    """
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
