"""The harness where there is a GPU: grading, the scoreboard and a witness compute on it, and a submission does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import witnessed

import sft_ref
from sft_ref.cli.main import main
from sft_ref.harness.isolation import sandbox

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
ROWS = ["padding-labelled", "dora-lost", "P26", "GEN-off", "exponent", "answered-only", "a_matrices_frozen"]
"""A mutant of most stages, and a control."""


@pytest.fixture(autouse=True)
def gpu() -> torch.device:
    """The device that the tests use; other processes use it, too."""
    return torch.zeros(1, device="cuda").device


def test_the_reference_is_sound(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    assert main(["grade", "reference", "--json", str(results)]) == 0
    (grade,) = json.loads(results.read_text())
    assert grade["verdict"] == "sound"


def test_the_scoreboard_is_right() -> None:
    command = [sys.executable, "tests/helpers/scoreboard.py", *ROWS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("in_this_process")
def test_a_witness_records_a_training_that_verify_confirms(gpu: torch.device, tmp_path: Path) -> None:
    model = witnessed.adapted_toy().to(gpu)
    batches = [{name: each.to(gpu) for name, each in batch.items()} for batch in witnessed.toy_batches(4)]
    with sft_ref.witness(model, witnessed.tokenizer(), tmp_path):
        witnessed.train_loop(model, batches, witnessed.adamw(model))
    model.save_pretrained(str(tmp_path))
    assert main(["verify", str(tmp_path), "--base", "toy"]) == 0


def test_a_submission_sees_no_gpu(tmp_path: Path) -> None:
    code = "import torch; print(torch.cuda.is_available())"
    done = sandbox.run([sys.executable, "-c", code], workspace=tmp_path)
    assert done.output.endswith("False\n"), done.output  # torch may warn before that: it finds no driver
