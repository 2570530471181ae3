"""`parse_answer` takes whatever a model says."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import strategies as st

from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, parse_answer

from .conftest import Search

PARTS = (OPEN_TAG, CLOSE_TAG, "<", ">", "/", " ", "\n", "+", "-", ".", "e", "E", "0", "12", "nan", "inf", "_", ",")
UNUSUAL = ("\u0663", "\uff11", "\u2212", "\u00a0", "\0", "\ud800", "\u00bd", "0x1", "9" * 5000)
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PARTS + UNUSUAL) | st.text(max_size=3) | st.floats().map(repr)).map("".join),
)


def give_a_number_or_none(parse: Callable[[str], float], text: str) -> None:
    """A float that is finite or NaN; the same again in tags."""
    value = parse(text)
    assert type(value) is float
    assert not math.isinf(value)
    if not math.isnan(value):
        written = parse(f"{OPEN_TAG}{value!r}{CLOSE_TAG}")
        assert written == value


def test_any_text_gives_a_number_or_none(fuzz: Search) -> None:
    fuzz(lambda text: give_a_number_or_none(parse_answer, text), TEXTS)
