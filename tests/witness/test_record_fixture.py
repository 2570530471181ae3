"""The plugin of pytest: a test for each kind of difference, and a fixture for models that tests load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from families import edit_config

OWN = """
import pytest, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from sft_ref.reference.bases.find import TOY

FOLDER = {folder!r}


def load():
    base = AutoModelForCausalLM.from_pretrained(TOY, dtype=torch.float32)
    return PeftModel.from_pretrained(base, FOLDER).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_sound(sft_ref_verify):
    assert sft_ref_verify(*load()).ok


def test_merged_twice(sft_ref_verify):
    model, tokenizer = load()
    sft_ref_verify(PeftModel.from_pretrained(model.merge_and_unload(), FOLDER).merge_and_unload(), tokenizer)
"""


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--tb=short", *map(str, words)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_kinds_are_tests_and_the_fixture_compares(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN.format(folder=str(trained)))
    changed = shutil.copytree(trained, tmp_path / "changed")
    edit_config(changed, lora_alpha=16)
    done = run(tmp_path, "--sft-ref-record", changed)
    assert done.returncode == 1, done.stdout
    assert "lora_alpha was 8 in training, and adapter_config.json says 16" in done.stdout
    assert "hold the adapter 2 times" in done.stdout
    assert "3 failed, 5 passed" in done.stdout


@pytest.mark.slow
def test_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(sft_ref_verify):\n    pass\n")
    done = run(tmp_path)
    assert "the fixture sft_ref_verify needs --sft-ref-record FOLDER" in done.stdout
    assert done.returncode == 1
