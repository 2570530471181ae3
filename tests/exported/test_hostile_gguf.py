"""A truncated or hostile GGUF file is refused in one line, in little time and memory."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
from pathlib import Path

import gguf_files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_ref.errors import SubmissionError
from sft_ref.harness.recorders.gguf.metadata import read_metadata
from sft_ref.harness.recorders.gguf.recorder import record
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.bases.find import TOY

HUGE = 2**63
WANTED = ("tokenizer.ggml.tokens", "tokenizer.chat_template")


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def head(keys: int = 1, tensors: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def array(kind: int, length: int) -> bytes:
    return text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, kind, length)


HOSTILE = {
    "nothing": (b"", "it is not a GGUF file"),
    "another format": (b"PK\x03\x04" + b"\0" * 100, "it is not a GGUF file"),
    "version 1": (head(version=1), "its GGUF version is 1"),
    "another byte order": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "its GGUF version is 50,331,648"),
    "header cut short": (head()[:10], "it is cut short"),
    "keys without end": (head(keys=HUGE), "it claims 9,223,372,036,854,775,808 keys"),
    "tensors without end": (head(keys=0, tensors=HUGE), "tensors; at most"),
    "a key without end": (head() + text(b"a", HUGE), "it has a text of 9,223,372,036,854,775,808 bytes"),
    "a text without end": (head() + text(b"a") + struct.pack("<I", 8) + text(b"", HUGE), "it has a text of"),
    "a text beyond the file": (head() + text(b"a") + struct.pack("<I", 8) + text(b"x", 2**22), "it is cut short"),
    "items without end": (head() + array(5, HUGE), "items; at most"),
    "items beyond the file": (head() + array(5, 2**20), "it is cut short"),
    "texts beyond the file": (head() + array(8, 2**20), "it is cut short"),
    "arrays in arrays": (head() + array(9, 1) + struct.pack("<IQ", 9, 1) * 1000, "an array of type 9"),
    "a type of nobody": (head() + text(b"a") + struct.pack("<I", 77), "a value of type 77"),
    "a key twice": (head(keys=2) + (text(b"tokenizer.chat_template") + struct.pack("<IB", 0, 1)) * 2, "twice"),
    "axes without end": (head(keys=0, tensors=1) + text(b"t") + struct.pack("<I", 2**31), "a tensor of 2,147,483,648"),
    "tensors beyond the file": (
        head(keys=0, tensors=1) + text(b"t") + struct.pack("<IQIQ", 1, 8, 0, HUGE),
        "a tensor begins at byte",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line_in_little_memory(name: str, tmp_path: Path) -> None:
    content, words = HOSTILE[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionError) as caught:
            record(path, base=str(TOY))
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_real_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "model.gguf", gguf_files.metadata_of(TOY))
    content = path.read_bytes()
    assert read_metadata(path, WANTED).keys() == set(WANTED)
    tensors = 32 * 8 * 4
    for length in range(0, len(content) - tensors, 997):
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableError):
            read_metadata(path, WANTED)


def test_a_sparse_file_of_any_length_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(head(keys=10_000) + array(8, 2**20))
    with path.open("r+b") as file:
        file.truncate(2**40)
    began = time.process_time()
    with pytest.raises(UnreadableError):  # its texts are empty, and so is each key after them
        read_metadata(path, WANTED)
    assert time.process_time() - began < 60


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 400), value=st.binary(min_size=1, max_size=8))
def test_any_bytes_give_metadata_or_a_refusal(at: int, value: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("g") / "model.gguf"
    table = {**gguf_files.metadata_of(TOY), "tokenizer.ggml.tokens": ["a", "b"], "tokenizer.ggml.merges": None}
    content = bytearray(gguf_files.write(path, {key: table[key] for key in sorted(table)[:4]}).read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    with contextlib.suppress(UnreadableError):
        read_metadata(path, WANTED)
