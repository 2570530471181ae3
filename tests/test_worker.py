"""The process that grades: what it may use, and what is left when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from graders import grade_by_name

from sft_ref.harness.core.grade import HARNESS_ERROR, NotGraded
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.worker import grade_alone


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_target_is_graded_and_what_goes_on_is_reported(scratch: Path) -> None:
    told: list[str] = []
    found = grade_alone("reports", grade_by_name, told.append, 60.0)
    assert isinstance(found, Verdict)
    assert told == ["a report"]
    assert not list(scratch.iterdir())


def test_a_grading_that_never_ends_is_ended_in_a_line_and_leaves_nothing(scratch: Path) -> None:
    began = time.monotonic()
    found = grade_alone("busy", grade_by_name, lambda text: None, 0.5)
    assert isinstance(found, NotGraded)
    assert found.code == HARNESS_ERROR
    assert "used up" in found.reason
    assert "--time-limit" in found.reason
    assert time.monotonic() - began < 60
    assert not list(scratch.iterdir())


def test_a_grading_that_asks_for_all_memory_is_refused_it_and_says_so(scratch: Path) -> None:
    found = grade_alone("greedy", grade_by_name, lambda text: None, 60.0)
    assert isinstance(found, NotGraded)
    assert found.code == HARNESS_ERROR
    assert "MemoryError" in found.reason
    assert not list(scratch.iterdir())


def test_a_grading_that_dies_is_a_line(scratch: Path) -> None:
    found = grade_alone("killed", grade_by_name, lambda text: None, 60.0)
    assert isinstance(found, NotGraded)
    assert "died (SIGKILL)" in found.reason
    assert not list(scratch.iterdir())


def test_a_library_in_rust_that_panics_is_a_line(scratch: Path) -> None:
    found = grade_alone("panics", grade_by_name, lambda text: None, 60.0)
    assert isinstance(found, NotGraded)
    assert found.code == HARNESS_ERROR
    assert "PanicException" in found.reason
    assert not list(scratch.iterdir())


def test_the_folder_for_temporary_files_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    monkeypatch.setattr(tempfile, "tempdir", str(link))
    assert isinstance(grade_alone("bob", grade_by_name, lambda text: None, 60.0), Verdict)
    assert not list(real.iterdir())


def test_a_worker_whose_parent_was_killed_tidies_up(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent / 'helpers')!r})\n"
        "from graders import grade_by_name\nfrom sft_ref.harness.grading.worker import grade_alone\n"
        "if __name__ == '__main__':\n    grade_alone(sys.argv[1], grade_by_name, print, 60.0)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    with subprocess.Popen([sys.executable, program, tmp_path / "slow"], env=environment) as started:
        wait_for((tmp_path / "slow.scratch").exists)
        assert list((tmp_path / "scratch").iterdir())
        started.kill()
    wait_for(lambda: not list((tmp_path / "scratch").iterdir()))
    assert not (tmp_path / "slow.scratch").exists()


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
