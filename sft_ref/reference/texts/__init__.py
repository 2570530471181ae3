"""Answers that are texts, for rows of a task other than unit conversion."""

from __future__ import annotations

import re

from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG


def parse_text(text: str) -> str:
    """Returns the text between the tags of a completion or a whole text, unchanged; never raises."""
    return text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2].strip()


def normalise(text: str) -> str:
    """Removes differences of case and spaces, and a full stop at the end of a text."""
    return re.sub(r"\s+", " ", text).strip().rstrip(".").strip().casefold()


def is_same_text(answer: object, truth: object) -> bool:
    """Returns whether both are texts that are equal after `normalise`."""
    return isinstance(answer, str) and isinstance(truth, str) and normalise(answer) == normalise(truth)
