"""Batches with wrong labels, and unusual batches with right ones, for tests of the witness."""

from __future__ import annotations

from typing import Any

import torch
from witnessed import Batch, Row, collate, toy_rows

END = 2


def rows_as(change: Any) -> Any:
    """Returns a function that makes batches of rows, each changed by `change`."""
    return lambda: [collate([change(*row) for row in toy_rows(4, 4 * n)]) for n in range(3)]


def all_masked(ids: list[int], labels: list[int]) -> Row:
    return ids, [-100] * len(ids)


def nothing_masked(ids: list[int], labels: list[int]) -> Row:
    return ids, list(ids)


def without_end(ids: list[int], labels: list[int]) -> Row:
    return ids, [*labels[:-1], -100]


def shifted(ids: list[int], labels: list[int]) -> Row:
    return ids, [*labels[1:], -100]


def shuffled(ids: list[int], labels: list[int]) -> Row:
    return ids, [label if label == -100 else (label + 7) % 700 + 3 for label in labels[:-1]] + labels[-1:]


def truncated() -> list[Batch]:
    """Returns rows of which some are truncated at a length."""
    rows = toy_rows(12)
    most = sorted(len(ids) for ids, _ in rows)[6]
    return [collate([(ids[:most], labels[:most]) for ids, labels in rows])] * 3


def packed() -> list[Batch]:
    """Returns all rows concatenated and cut in two: the last text of the first part continues in the second."""
    ids = [each for row, _ in toy_rows(12) for each in row]
    labels = [each for _, row in toy_rows(12) for each in row]
    positions = [place for row, _ in toy_rows(12) for place in range(len(row))]
    half = len(ids) // 2
    batch = {
        "input_ids": torch.tensor([ids[:half], ids[half : 2 * half]]),
        "labels": torch.tensor([labels[:half], labels[half : 2 * half]]),
        "position_ids": torch.tensor([positions[:half], positions[half : 2 * half]]),
    }
    return [batch] * 3


def cut_into_rows() -> list[Batch]:
    """Returns all rows concatenated and cut into rows of equal length, like packing without positions."""
    ids, labels = ([each for row in toy_rows(12) for each in row[part]] for part in (0, 1))
    ends = [place + 1 for place, each in enumerate(ids) if each == END]
    width = ends[2]  # the first row ends with a text, and the second does not
    return [collate([(part[:width], due[:width]) for part, due in ((ids, labels), (ids[width:], labels[width:]))])] * 3


def padded(label: int) -> Any:
    return lambda: [collate(toy_rows(4, 4 * n), padding=5, padding_label=label) for n in range(3)]


def partly_masked() -> list[Batch]:
    rows = toy_rows(12)
    return [collate([all_masked(*rows[n]), *rows[n + 1 : n + 4]]) for n in (0, 4, 8)]


def behind_new_line(ids: list[int], labels: list[int]) -> Row:
    """Appends a new line after the end token, as chat templates do."""
    return [*ids, 5], [*labels, 5]
