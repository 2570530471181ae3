"""An adapter is checked again from saved evidence alone, and a damaged file is bad input in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import families
import pytest

from sft_ref.cli.main import main
from sft_ref.harness.core.sizes import SizeLimits
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.saved import FROM_FILE, grade_evidence
from sft_ref.reference.data import split_rows

from .conftest import comparable

TOY = Path(families.__file__).parents[2] / "sft_ref" / "toy"


@pytest.fixture
def saved(adapter: Path, llama: Path, tmp_path: Path) -> Path:
    """Evidence of a sound adapter; the adapter itself is gone."""
    file = tmp_path / "evidence.safetensors"
    grade_adapter(adapter, "it", base=str(llama), prompt=None, save_evidence=file)
    shutil.rmtree(adapter)
    return file


def test_neither_adapter_nor_base_is_needed_to_check_it_again(adapter: Path, llama: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    file = tmp_path / "evidence.safetensors"
    verdict = grade_adapter(adapter, "it", base=str(base), prompt=None, save_evidence=file)
    shutil.rmtree(adapter)
    shutil.rmtree(base)
    again = grade_evidence(file, "it")
    assert comparable(again) == comparable(verdict)
    assert again.examined_stages == ("artifact", "load")
    assert again.notes[0] == FROM_FILE  # a verdict without a run says so


def test_answers_are_checked_again(toy_adapter: Path, tmp_path: Path) -> None:
    data, file = tmp_path / "rows.jsonl", tmp_path / "evidence.safetensors"
    data.write_text("\n".join(f'["{question}", {value!r}]' for question, value in split_rows("validation")[:16]))
    verdict = grade_adapter(
        toy_adapter, "it", base=None, prompt="{question} <answer>{answer}</answer>", data=data, save_evidence=file
    )
    again = grade_evidence(file, "it")
    assert comparable(again) == comparable(verdict)
    assert "generate" in again.examined_stages


def test_what_is_not_lora_stays_not_judged(adapter: Path, llama: Path, tmp_path: Path) -> None:
    families.edit_config(adapter, peft_type="IA3")
    file = tmp_path / "evidence.safetensors"
    verdict = grade_adapter(adapter, "it", base=str(llama), prompt=None, save_evidence=file)
    again = grade_evidence(file, "it")
    assert comparable(again) == comparable(verdict)
    assert "not judged: peft type IA3" in again.coverage_text


def test_other_limits_can_be_set_for_saved_evidence(saved: Path) -> None:
    assert grade_evidence(saved, "it").status is Status.NOT_SHOWN
    verdict = grade_evidence(saved, "it", sizes=SizeLimits(adapter=10))
    assert verdict.status is Status.BROKEN
    assert "more than the limit; expected: at most 10 (ART-007)" in verdict.cause


@pytest.mark.slow
def test_the_command_line_saves_and_checks_again(
    adapter: Path, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evidence.safetensors"
    required = ["--require", "artifact", "load"]
    assert main(["grade", str(adapter), "--base", str(llama), "--save-evidence", str(file), *required]) == 0
    shutil.rmtree(adapter)
    capsys.readouterr()
    assert main(["grade", str(file), *required]) == 0
    assert "artifact" in capsys.readouterr().out


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("damage", ["cut short", "edited", "absent"])
def test_a_damaged_file_is_bad_input_in_one_line(damage: str, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = saved.read_bytes()
    if damage == "absent":
        saved.unlink()
    else:
        saved.write_bytes(content[:-10] if damage == "cut short" else content.replace(b"llama", b"lhama"))
    assert main(["grade", str(saved)]) == 2
    output = capsys.readouterr()
    assert not output.out
    (line,) = output.err.strip().splitlines()
    assert str(saved) in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["reference", "--save-evidence", "evidence.safetensors"], "is not for an implementation"),
        (["ADAPTER", "--save-evidence", "evidence.json"], "give a name that ends in .safetensors"),
        (["ADAPTER", "--save-evidence", "no/folder.safetensors"], "cannot write"),
        (["ADAPTER", "ADAPTER", "--output", "grades", "--save-evidence", "evidence.safetensors"], "grade one"),
    ],
)
def test_evidence_that_cannot_be_saved_is_refused_at_once(
    arguments: list[str],
    reason: str,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["grade", *(str(adapter) if each == "ADAPTER" else each for each in arguments)]) == 2
    assert reason in capsys.readouterr().err
