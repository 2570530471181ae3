"""What the checks of rows share: how many may deviate, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.checks.shared.tokens import MOST
from sft_ref.harness.evidence.dataset.rows import DatasetRow

_NAMED = 3


def are_too_many(bad: Sequence[DatasetRow], rows: Sequence[DatasetRow]) -> bool:
    """Whether more rows deviate than a data set may have oddities."""
    return len(bad) > (1 - MOST) * len(rows)


def count(bad: Sequence[DatasetRow], rows: Sequence[DatasetRow]) -> str:
    """How many of how many rows."""
    return f"{len(bad)} of {len(rows)} rows"


def name_rows(bad: Sequence[DatasetRow]) -> str:
    """The first of them by their numbers in the file."""
    numbers = ", ".join(str(row.number) for row in bad[:_NAMED])
    return f"row{'s' if len(bad) > 1 else ''} {numbers}{', ...' if len(bad) > _NAMED else ''}"
