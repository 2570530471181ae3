"""Rows come out of a batch without padding."""

import pytest
import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.instruments.numerals import contains_answer
from sft_ref.harness.instruments.training_examples import TrainingExample, examples_of


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6000.0</answer>", 6000.0),
        ("That is 6,000 gram.", 6000.0),
        ("1e+16<|im_end|>", 1e16),
        ("-3.5", -3.5),
        ("4 or .002", 0.002),
    ],
)
def test_a_number_is_found_however_it_is_written(text: str, value: float) -> None:
    assert contains_answer(text, value)


@pytest.mark.parametrize(("text", "value"), [("4</answer>", 4.35), ("3.5", -3.5), ("000.0", 6000.0), ("many", 1.0)])
def test_another_number_is_not_the_answer(text: str, value: float) -> None:
    assert not contains_answer(text, value)
