"""Finds the question that a text asks."""

from __future__ import annotations

from collections.abc import Sequence


def normalize(text: str) -> str:
    """Removes the final punctuation mark of a question, converts it to lower case, and collapses spaces."""
    return " ".join(text.lower().split()).rstrip("?.! ")


def find_question(questions: Sequence[str], text: str) -> int | None:
    """Returns the index of the last normalized question in a text; of several with the same end, the longest."""
    flat = " ".join(text.lower().split())
    ends = []
    for number, question in enumerate(questions):
        at = flat.rfind(question)
        while at > 0 and question[:1].isdigit() and flat[at - 1].isdigit():  # within a longer number
            at = flat.rfind(question, 0, at + len(question) - 1)
        if question and at >= 0:
            ends.append((at + len(question), len(question), -number))
    return -max(ends)[2] if ends else None
