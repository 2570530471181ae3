"""Helpers of the checks of rows: the tolerated number of deviating rows, and their names in messages."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.checks.shared.tokens import MOST
from sft_ref.harness.evidence.dataset.rows import DatasetRow

_NAMED = 3


def are_too_many(bad: Sequence[DatasetRow], rows: Sequence[DatasetRow]) -> bool:
    """Returns whether more rows deviate than a data set may contain."""
    return len(bad) > (1 - MOST) * len(rows)


def count(bad: Sequence[DatasetRow], rows: Sequence[DatasetRow]) -> str:
    """Formats the number of bad rows and of all rows."""
    return f"{len(bad)} of {len(rows)} rows"


def name_rows(bad: Sequence[DatasetRow]) -> str:
    """Lists the first bad rows by their numbers in the file."""
    numbers = ", ".join(str(row.number) for row in bad[:_NAMED])
    return f"row{'s' if len(bad) > 1 else ''} {numbers}{', ...' if len(bad) > _NAMED else ''}"
