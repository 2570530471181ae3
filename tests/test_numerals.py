"""Numbers are found in texts however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft_ref.harness.core.numerals import contains_answer, find_numerals, last_number


@pytest.mark.parametrize(
    ("text", "numerals"),
    [
        ("6000.0</answer>", ["6000.0"]),
        ("-1e+22.", ["-1e+22"]),
        ("2 kg are 1,000.5 g", ["2", "1,000.5"]),
        ("none", []),
    ],
)
def test_numerals_are_found_whole(text: str, numerals: list[str]) -> None:
    assert find_numerals(text) == numerals


@given(st.text())
def test_any_text_has_a_last_number_or_none(text: str) -> None:
    assert isinstance(last_number(text), float)


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
