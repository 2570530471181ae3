"""Files of rows, for training and for adapters, are read or refused in a line."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from sft_ref.errors import DataError
from sft_ref.io.rows.forms import in_other_ways, read_rows
from sft_ref.reference.guards.rows import load_rows

from .conftest import Search
from .strategies import documents

PAIRS = [["What is 2 h in s?", 7200], ["How many g are 6 kg?", 6000.0]]
FORMS = [
    PAIRS,
    [{"question": "How many g are 6 kg?", "answer": "6000"}],
    [{"prompt": "What is 2 h in s? ", "completion": "7200"}],
    [{"prompt": [{"role": "user", "content": "2 h in s?"}], "completion": [{"role": "assistant", "content": "7200"}]}],
    [{"messages": [{"role": "user", "content": [{"text": "2 h?"}]}, {"role": "assistant", "content": "7200 s"}]}],
    [{"text": "Q: 2 h in s? A: 7200 s"}],
]


def test_rows_of_training(fuzz: Search, scratch: Path) -> None:
    path = scratch / "rows.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(DataError):
            for question, value in load_rows(path):
                assert question.strip()
                assert type(value) in (float, str)
                assert value.strip() if isinstance(value, str) else math.isfinite(value)
        assert list(scratch.iterdir()) == [path]

    fuzz(read, documents([PAIRS, *FORMS]))


def test_rows_of_adapters(fuzz: Search, scratch: Path) -> None:
    path = scratch / "rows.jsonl"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            rows = read_rows(path, prompt="Q: {question} A: {answer}")
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
        assert rows
        in_other_ways(rows)

    fuzz(read, documents(FORMS))
