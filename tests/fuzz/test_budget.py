"""The search itself: it finds what is planted, uses its budget, and stops what hangs."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sft_ref.reference.prompt
from sft_ref.reference.prompt import parse_answer

from .budget import HangError, processor_time, search
from .strategies import changed, documents
from .test_texts import TEXTS, give_a_number_or_none


def test_the_budget_is_used_and_not_exceeded() -> None:
    began = time.monotonic()
    tried = search(lambda value: None, st.integers(), seconds=2)
    assert 2 <= time.monotonic() - began < 60
    assert tried > 0  # how many depends on the machine


def test_slow_targets_stop_in_time() -> None:
    began = time.monotonic()
    assert 1 <= search(lambda value: time.sleep(0.1), st.integers(), seconds=0.5) < 10
    assert time.monotonic() - began < 30


def test_a_planted_bug_in_the_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sft_ref.reference.prompt, "_DECIMAL", re.compile(r"[+-]?\w+"))
    with pytest.raises((ValueError, AssertionError), match=r"could not convert|nan =="):
        search(lambda text: give_a_number_or_none(parse_answer, text), TEXTS, seconds=60)


@pytest.mark.slow
def test_a_planted_bug_in_a_reader_is_found() -> None:
    def read(data: bytes) -> None:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict) and isinstance(value.get("rank"), int):
            float(value["rank"])

    with pytest.raises(OverflowError):
        search(read, documents([{"rank": 8, "names": ["a", "b"]}]), seconds=60)


def test_a_hang_is_found() -> None:
    def hang(value: int) -> None:
        while value:
            pass

    with pytest.raises(HangError), processor_time(0.2):
        hang(1)
    with processor_time(0.2):
        hang(0)


def test_values_are_changed_and_their_original_is_not() -> None:
    original = {"a": [1, 2, {"b": "c"}]}
    seen: set[str] = set()

    @settings(max_examples=100, database=None, deadline=None)
    @given(changed([original]))
    def collect(value: object) -> None:
        seen.add(repr(value))

    collect()  # a fixed number of values: how many fit into a time depends on the machine
    assert original == {"a": [1, 2, {"b": "c"}]}
    assert len(seen) > 20
