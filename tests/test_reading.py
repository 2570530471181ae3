"""Files of a user or a stranger: what can be read, and the reason where something cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sft_ref.errors import DataError
from sft_ref.io.reading import (
    DEEPEST,
    Refusal,
    UnreadableError,
    has_half_a_character,
    json_of,
    kind_of,
    plain_bytes,
    read_json,
    shortened,
    why_no_path,
)

REFUSAL = Refusal(DataError, "give another")


def test_a_refusal_names_file_reason_place_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"a": {"b": [1, "x"]}}')
    with pytest.raises(DataError) as error:
        read_json(path, dict[str, dict[str, list[int]]], REFUSAL)
    assert str(error.value) == f"{path}: cannot be read (expected `int`, got `str` at `$[...][...][1]`); give another"


def test_json_is_as_deep_as_allowed_and_no_deeper() -> None:
    assert json_of("[" * DEEPEST + "]" * DEEPEST, object)
    with pytest.raises(UnreadableError, match="nested too deeply"):
        json_of("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), object)


def test_a_link_is_followed_and_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert plain_bytes(tmp_path / "link") == b"text"
    for name in ("pipe", "loop", "none", "a\0b", "\ud800", "n" * 300, "."):
        with pytest.raises(UnreadableError):
            plain_bytes(tmp_path / name)


def test_the_kind_of_what_stands_at_a_path_is_known_for_any_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    kinds = {"file": "file", ".": "folder", "pipe": "other", "loop": None, "none": None, "a\0b": None, "n" * 300: None}
    assert {name: kind_of(tmp_path / name) for name in kinds} == kinds


def test_why_nothing_can_stand_at_a_path_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert why_no_path(tmp_path / "new") == ""
    assert why_no_path(tmp_path) == ""
    for name in ("loop", "a\0b", "\ud800", "n" * 300):
        assert why_no_path(tmp_path / name)


def test_a_long_name_is_shortened_and_half_a_character_is_written_as_its_code() -> None:
    assert len(shortened("n" * 5000)) < 200
    assert shortened("a\ud800") == "a\\ud800"
    assert has_half_a_character("a\ud800")
    assert not has_half_a_character("😀")


@pytest.mark.parametrize("text", [r'"\ud800"', r'{"a": "\ud800"}', r'["\ud800"]'])
def test_half_a_character_in_the_place_of_an_object_is_no_error_of_another_kind(text: str) -> None:
    with pytest.raises(UnreadableError):
        json_of(text, dict[str, int])
