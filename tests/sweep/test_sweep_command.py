"""`sft-ref sweep`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sft_ref.cli import main as cli
from sft_ref.sweep import run
from sft_ref.sweep.cell import Cell
from sft_ref.sweep.measure import measure as measure_cell


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--train", "fp8"], "unknown policy 'fp8'"),
        (["--json", "nowhere/a.json"], "there is no such folder"),
        (["--base", "nobody"], "unknown base 'nobody'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "--base", "toy", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_command_prints_one_matrix_and_writes_json_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--train", "fp32", "fp16", "--load", "fp16", "--steps", "2", "--questions", "3"]
    assert cli.main(["sweep", "--base", "toy", *words, "--json", "a.json", "--png", "a.png"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"fp32 +fp32 +\w+.* fp32/fp32/fp32 +yes +0 ", shown.out)
    assert "fp16 → any" in shown.out or torch.cuda.is_available()
    assert "3/3" in shown.err or "4/4" in shown.err
    assert len(json.loads(Path("a.json").read_text())) == 3
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def stop(*args: Any, **kwargs: Any) -> Cell:
        if args[2].name == "fp16":
            raise KeyboardInterrupt
        return measure_cell(*args, **kwargs)

    words = ["sweep", "--base", "toy", "--train", "fp32", "--load", "fp16", "--steps", "2", "--questions", "3"]
    monkeypatch.setattr(run, "measure", stop)
    assert cli.main(words) == 130
    assert "stopped, 1 of 2 cells done; the same command goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(run, "measure", measure_cell)
    assert cli.main(words) == 0
    assert "training" not in capsys.readouterr().err.replace("when training ended", "")
