"""Rows come out of a batch without padding."""

import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.training_examples import TrainingExample, examples_of


def test_rows_lose_padding_on_either_side_and_keep_their_labels() -> None:
    batch = Batch(
        torch.tensor([[2, 2, 5, 6], [7, 8, 2, 2]]),
        torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]),
        torch.tensor([[-100, -100, -100, 6], [-100, 8, 2, -100]]),
    )
    assert examples_of(batch) == [TrainingExample((5, 6), (-100, 6)), TrainingExample((7, 8, 2), (-100, 8, 2))]
    assert [(row.begin, row.end) for row in examples_of(batch)] == [(1, 2), (1, 3)]


def test_a_row_without_labels_begins_nowhere_and_ends_at_0() -> None:
    assert (TrainingExample((5, 6), (-100, -100)).begin, TrainingExample((5, 6), (-100, -100)).end) == (None, 0)
