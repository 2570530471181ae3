"""An adapter of the reference is sound with rows and a prompt, and never without."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from sft_ref import split_rows
from sft_ref.cli import main as cli

PROMPT = "{question} <answer>{answer}</answer>"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.json"
    path.write_text(json.dumps(split_rows("validation")[-64:]), encoding="utf-8")
    return path


def test_with_rows_and_prompt_every_stage_is_shown(
    toy_adapter: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["grade", str(toy_adapter), "--prompt", PROMPT, "--data", str(rows)]) == 0
    assert "SOUND" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"), [([], 4), (["--prompt", PROMPT], 4), (["--require", "artifact", "load"], 0)], ids=str
)
def test_without_rows_it_is_not_shown(
    words: list[str], code: int, toy_adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["grade", str(toy_adapter), *words]) == code
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "NOT SHOWN" in out
    assert "(no --data was given)" in out


@pytest.mark.slow
def test_the_command_to_repeat_has_base_prompt_and_data(
    toy_adapter: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(toy_adapter, tmp_path / "edited"))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 8 * config["lora_alpha"]}))
    options = ["--base", "toy", "--prompt", PROMPT, "--data", str(rows)]
    assert cli.main(["grade", str(folder), *options, "--json", str(tmp_path / "results.json")]) == 1
    [row] = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    repeats = [shlex.split(each["rerun"]) for each in row["checks"] if each["outcome"] == "fail"]
    assert repeats
    for words in repeats:
        assert words[:-1] == ["sft-ref", "grade", str(folder), *options, "--only"]
