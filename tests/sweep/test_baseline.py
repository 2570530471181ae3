"""A baseline is written, compared with, and refused where it would not be one."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sft_ref.cli import main as cli
from sft_ref.sweep import command
from sft_ref.sweep.cell import Cell


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "."],
    ):
        subprocess.run(["git", *words], check=True, cwd=tmp_path)  # noqa: S607
    return tmp_path


def test_a_baseline_is_written_and_compared_and_a_change_is_exit_code_1(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["sweep", "--base", "toy", "--steps", "40", "--questions", "32"]
    assert cli.main([*words, "--update"]) == 0
    assert cli.main([*words, "--update"]) == 0  # its own file makes no dirty tree
    assert cli.main([*words, "--compare"]) == 0
    assert "within its tolerances: 6 cells" in capsys.readouterr().out
    worse = [dataclasses.replace(cells[0], answer_rate=0.5, loss=math.nan), *cells[1:]]
    monkeypatch.setattr(command, "_sweep", lambda *_: worse)
    assert cli.main([*words, "--compare"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"answer_rate +[\d.]+ → 0.5 \(-0\.\d+\) +allowed ±0\.05: 0 seen; rounding in training may", out)
    assert re.search(r"loss +[\d.e-]+ → not finite", out)
    assert cli.main([*words[:-1], "31", "--compare"]) == 2
    assert "was made with another questions" in capsys.readouterr().err


def test_a_missing_baseline_is_exit_code_1_and_in_ci_an_error(
    swept: None, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--base", "toy", "--compare"]
    assert cli.main(words) == 1
    assert "no baseline: tests/baselines/" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert cli.main(words) == 2
    assert "there is no baseline" in capsys.readouterr().err


def test_a_baseline_may_lie_in_any_file_in_git_or_not(
    swept: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--base", "toy", "--baseline", str(tmp_path / "own.json")]
    assert cli.main([*words, "--compare"]) == 1
    assert cli.main([*words, "--update"]) == 0
    assert cli.main([*words, "--compare"]) == 0


def test_a_pair_without_a_baseline_is_shown_and_in_ci_an_error(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["sweep", "--base", "toy"]
    assert cli.main([*words, "--update"]) == 0
    more = [*cells, dataclasses.replace(cells[0], load="fp32+sdpa")]
    monkeypatch.setattr(command, "_sweep", lambda *_: more)
    assert cli.main([*words, "--compare"]) == 0
    assert "no baseline: fp32 → fp32+sdpa" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    assert cli.main([*words, "--compare"]) == 2


def test_a_baseline_is_refused_from_a_dirty_tree_and_outside_a_repository(
    swept: None, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "code.py").touch()
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "code.py is not committed" in capsys.readouterr().err
    (repository / "code.py").unlink()
    monkeypatch.setattr("sft_ref.sweep.baseline.subprocess.run", no_repository)
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "is not in a git repository" in capsys.readouterr().err
    assert not (repository / "tests").exists()


def no_repository(*_: object, **__: object) -> None:
    raise subprocess.CalledProcessError(128, "git")


def test_a_baseline_is_refused_where_two_sweeps_disagree(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = [dataclasses.replace(cells[0], loss=(cells[0].loss or 0) + 1e-7), *cells[1:]]
    sweeps: Iterator[list[Cell]] = itertools.cycle([cells, other])
    monkeypatch.setattr(command, "_sweep", lambda *_: next(sweeps))
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "two sweeps disagree on loss of fp32 → fp32" in capsys.readouterr().err
    assert not (repository / "tests").exists()
