"""Assigns texts to the answers that they contain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def assign(texts: Sequence[str], answers: Sequence[T], contains: Callable[[str, T], bool]) -> list[int] | None:
    """Returns for each answer the place of the first unused text that contains it; None if there is no such text.

    An implementation may sort questions before it asks them, and put the answers back afterwards.
    """
    unused = dict(enumerate(texts))
    places = []
    for answer in answers:
        place = next((place for place, text in unused.items() if contains(text, answer)), None)
        if place is None:
            return None
        places.append(place)
        del unused[place]
    return places
