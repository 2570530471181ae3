"""What is kept between runs: read only where it is whole, and named by the content of a submission."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from graders import SOUND

from sft_ref.harness.grading.cache import ResultCache, content_of
from sft_ref.harness.grading.targets import find_targets
from sft_ref.io import plain_files


def nest(folder: Path, levels: int) -> None:
    """Folders in folders, made one by one from within."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder for trees of any depth. They are removed here: pytest's own clean-up recurses, and fails on them."""
    yield tmp_path
    for each in tmp_path.iterdir():
        plain_files.remove(each)


def test_folders_in_folders_without_end_do_not_stop_a_class(deep: Path) -> None:
    for name in ("a", "b"):
        (deep / "class" / name).mkdir(parents=True)
        (deep / "class" / name / "sft.py").touch()
    nest(deep / "class" / "c", 1500)
    found = find_targets([str(deep / "class")])
    assert [Path(target).name for target in found.targets] == ["a", "b", "c"]
    assert len({content_of(target) for target in found.targets}) == 2
    nest(deep / "class" / "d", 1501)
    assert content_of(str(deep / "class" / "c")) != content_of(str(deep / "class" / "d"))


DAMAGE = {
    "deep": "[" * 100_000,
    "a list": "[]",
    "cut short": '{"content": ',
    "another type": '{"content": 1, "grader": "g", "result": {}}',
    "no result": '{"content": "c", "grader": "g", "result": {"verdict": "sound"}}',
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_result_is_not_used(text: str, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "results", "g")
    cache.write("a", "c", SOUND)
    assert cache.read("a", "c") is not None
    cache.path_of("a").write_text(text)
    assert cache.read("a", "c") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("notes", [3]), ("coverage", [{"stage": 1}]), ("seconds", "long"), ("checks", [{}]), ("verdict", "fine")],
)
def test_a_result_with_a_value_of_another_type_is_not_used(key: str, value: object, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "results", "g")
    cache.write("a", "c", SOUND)
    held = json.loads(cache.path_of("a").read_text())
    held["result"][key] = value
    cache.path_of("a").write_text(json.dumps(held))
    assert cache.read("a", "c") is None


def test_a_pipe_in_the_place_of_a_result_is_not_waited_for(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "results", "g")
    os.mkfifo(cache.path_of("a"))
    assert cache.read("a", "c") is None


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**43)
    began = time.process_time()
    before = content_of(str(tmp_path))
    assert content_of(str(tmp_path)) == before
    os.utime(tmp_path / "sparse", (0, 0))
    assert content_of(str(tmp_path)) != before
    assert time.process_time() - began < 10
