"""Inference code of the user's own is held against the record: model, tokenizer and prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import witnessed

import sft_ref
from sft_ref.cli.main import main
from sft_ref.witnessing.verifying.own_code import OwnCodeError, verify_own_code

SERVE = """
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from beside import TOY, ADAPTER

def load_base():
    return AutoModelForCausalLM.from_pretrained(TOY, dtype=torch.float32)

def load():
    return PeftModel.from_pretrained(load_base(), ADAPTER).merge_and_unload(), AutoTokenizer.from_pretrained(ADAPTER)

def format_prompt(question):
    return question.strip() + " <answer>"

def format_otherwise(question):
    return "Q: " + question.strip() + " <answer>"

def format_nothing(question):
    return None

def leave():
    raise SystemExit(0)

def fail():
    open("/no/such/file")

def number():
    return 7
"""


@pytest.fixture
def serve(trained: Path, tmp_path: Path) -> str:
    """A file with inference code, and a module beside it."""
    from sft_ref.reference.bases.find import TOY

    (tmp_path / "beside.py").write_text(f"TOY, ADAPTER = {str(TOY)!r}, {str(trained)!r}\n")
    (tmp_path / "my_serving.py").write_text(SERVE)
    return str(tmp_path / "my_serving.py")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "train.json"
    file.write_text(json.dumps(sft_ref.split_rows("train")[:64]))
    return file


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that the code imports are not those of the test before."""
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_serving", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_code_that_serves_what_was_trained_passes(trained: Path, serve: str, data: Path) -> None:
    result = verify_own_code(trained, f"{serve}:load", f"{serve}:format_prompt", data)
    assert result.ok, str(result)
    assert "prompts of 4 of 4 recorded rows are compared" in result.notes
    assert {"template", "tokenizer", "load"} <= set(result.examined)


def test_code_that_loads_the_base_alone_is_told(trained: Path, serve: str) -> None:
    assert verify_own_code(trained, f"{serve}:load_base").kinds == {"load"}


def test_another_prompt_is_shown_beside_that_of_training(trained: Path, serve: str, data: Path) -> None:
    result = verify_own_code(trained, f"{serve}:load", f"{serve}:format_otherwise", data)
    assert result.kinds == {"template"}
    assert "it writes 'Q: " in str(result)
    assert "and training had '" in str(result)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leave", r"ends the process \(exit code 0\)"),
        ("fail", "No such file or directory"),
        ("number", "returns int, and must return a transformers model"),
        ("none", "the file has no function 'none'"),
    ],
)
def test_code_that_gives_no_model_is_one_line(name: str, reason: str, trained: Path, serve: str) -> None:
    with pytest.raises(OwnCodeError, match=reason):
        verify_own_code(trained, f"{serve}:{name}")


def test_a_prompt_that_is_no_text_is_refused(trained: Path, serve: str, data: Path) -> None:
    with pytest.raises(OwnCodeError, match="returns NoneType, and must return the prompt as text"):
        verify_own_code(trained, f"{serve}:load", f"{serve}:format_nothing", data)


def test_rows_of_another_training_are_refused(trained: Path, serve: str, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps([["What is nobody asked?", 1]]))
    with pytest.raises(OwnCodeError, match="holds none of the recorded questions"):
        verify_own_code(trained, f"{serve}:load", f"{serve}:format_prompt", other)


def test_a_file_that_is_none_or_raises_is_one_line(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('not today')")
    for name, reason in (("nowhere.py:load", "no such file"), (f"{tmp_path}/broken.py:load", "not today")):
        with pytest.raises(OwnCodeError, match=reason):
            verify_own_code(trained, name)


@pytest.mark.slow
def test_the_command_runs_it_in_a_process_of_its_own(
    trained: Path, serve: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--loader", f"{serve}:load", "--format-prompt", f"{serve}:format_otherwise", "--data", str(data)]
    assert main(["verify", str(trained), *words]) == 1
    assert "template: the prompt of row " in capsys.readouterr().out
    assert main(["verify", str(trained), *words[:4]]) == 2
    assert "give both" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_drift_holds_each_way_to_load_against_the_record(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "drift.json"
    with witnessed.no_warnings():
        code = main(["drift", str(trained), "--load", "fp32", "fp32+sdpa", "merged-bf16", "--json", str(file)])
    assert code == 1
    found = json.loads(file.read_text())
    assert {way: each["ok"] for way, each in found.items()} == {"fp32": True, "fp32+sdpa": True, "merged-bf16": False}
    assert {each["kind"] for each in found["merged-bf16"]["differences"]} == {"precision"}
    shown = capsys.readouterr().out
    assert "merged-bf16: precision: " in shown
    with witnessed.no_warnings():
        assert main(["drift", str(trained), "--load", "merged-fp32"]) == 0
    assert main(["drift", str(trained), "--load", "fp33"]) == 2
    assert "--load fp33" in capsys.readouterr().err
