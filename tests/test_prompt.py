"""Prompt and answer text: what is written can be read, and nothing else can."""

import math
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sft_ref import format_example, format_prompt, format_value, parse_answer

finite_values = st.floats(allow_nan=False, allow_infinity=False, width=64)
white_space = st.text(" \t\n\r", max_size=3)
words = st.text(st.characters(exclude_characters="<>"), max_size=20)
decimals = st.from_regex(
    r"[+-]?(\d{1,20}(\.\d{0,10})?|\.\d{1,10})([eE][+-]?\d{1,2})?", fullmatch=True, alphabet=string.printable
)


@given(st.text())
def test_prompt_is_the_stripped_question_and_an_open_tag(question: str) -> None:
    assert format_prompt(question) == question.strip() + " <answer>"


@given(st.text(), white_space, white_space)
def test_surrounding_white_space_does_not_change_the_prompt(question: str, left: str, right: str) -> None:
    assert format_prompt(left + question + right) == format_prompt(question)


@pytest.mark.parametrize(
    ("value", "text"),
    [(6000.0, "6000.0"), (0.62137, "0.621"), (6, "6"), (-0.5, "-0.5"), (1e15, "1000000000000000.0"), (1e16, "1e+16")],
)
def test_a_value_is_written_with_at_most_three_decimals(value: float, text: str) -> None:
    assert format_value(value) == text


def test_an_example_worked_by_hand() -> None:
    parts = format_example(" How many gram are there per 6 kg? ", 6000.0)
    assert parts == {"question": "How many gram are there per 6 kg? <answer>", "answer": "6000.0</answer>"}


@given(words, finite_values)
def test_the_supervised_text_parses_to_the_label(question: str, value: float) -> None:
    parts = format_example(question, value)
    assert parse_answer(parts["answer"]) == round(value, 3)
    assert parse_answer(parts["question"] + parts["answer"]) == round(value, 3)


@given(st.text())
@example("<answer>" * 1000)
@example("9" * 10_000)
@example("\x00</answer>")
def test_parsing_never_raises_and_gives_a_finite_number_or_nan(text: str) -> None:
    value = parse_answer(text)
    assert math.isnan(value) or math.isfinite(value)


@given(decimals, white_space, white_space, words, words)
def test_a_decimal_is_read_whatever_stands_outside_the_tags(
    decimal: str, left: str, right: str, before: str, after: str
) -> None:
    due = float(decimal)
    assert parse_answer(f"{left}{decimal}{right}") == due
    assert parse_answer(f"{decimal}{right}</answer>{after}") == due
    assert parse_answer(f"{before}<answer>{left}{decimal}</answer>{after}") == due


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1</answer>2</answer>", 1),  # the first closing tag ends it
        ("<answer>1<answer>2</answer>", 2),  # the last open tag before that begins it
        ("1</answer><answer>2</answer>", 1),
        ("+.5e-1", 0.05),
        ("5.", 5),
        ("-0", 0),
    ],
)
def test_which_tags_count(text: str, value: float) -> None:
    assert parse_answer(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "nan", "inf", "-Infinity", "1e999", "1,000", "1_000", "0x10", "6 kg", "6 7", "٣", "\uff16", "1e",
     ".", "+",
     "--1", "<answer></answer>", "</answer>6", "the answer is 6", "6<", "1.2.3", "½", "1e+", "6 </answer"],
)  # fmt: skip
def test_anything_but_one_finite_ascii_decimal_is_nan(text: str) -> None:
    assert math.isnan(parse_answer(text))


@given(words.filter(lambda text: not any(c.isdigit() for c in text)))
def test_text_without_a_digit_is_no_answer(text: str) -> None:
    assert math.isnan(parse_answer(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["1", "1.", "1e", "1e+", " ", "-", "<answer>", ".1"])
@pytest.mark.parametrize("end", ["", "x"])
def test_a_million_characters_are_parsed_in_linear_time(text: str, end: str) -> None:
    answer = parse_answer("7" + text * (1_000_000 // len(text)) + end)  # in quadratic time it takes hours
    assert math.isnan(answer) or (text, end, answer) == (" ", "", 7.0)
