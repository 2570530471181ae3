"""Answers that are texts, for rows of another task than the unit conversions."""

from __future__ import annotations

import re

from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG


def parse_text(text: str) -> str:
    """The answer in a completion or a whole text, as it is written: what stands between the tags; never raises."""
    return text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2].strip()


def normalise(text: str) -> str:
    """A text whatever its case, its spaces, and a full stop at its end."""
    return re.sub(r"\s+", " ", text).strip().rstrip(".").strip().casefold()


def is_same_text(answer: object, truth: object) -> bool:
    """Whether both are texts, and the same but for what `normalise` takes out."""
    return isinstance(answer, str) and isinstance(truth, str) and normalise(answer) == normalise(truth)
