"""The plugin of pytest: a test for each check of a target, whose outcomes are those of `sft-ref grade`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import families
import pytest

from sft_ref.harness.checks import adapter as checks
from sft_ref.reference.data import split_rows

PROMPT = "{question} <answer>{answer}</answer>"


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Pytest in a folder of its own, so that no configuration of this project counts."""
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--tb=short", *map(str, words)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def outcomes(shown: str) -> dict[str, str]:
    """Name of each test of a target -> its outcome."""
    lines = [line.split() for line in shown.splitlines() if "::" in line]
    return {words[2].partition("::")[2]: words[0] for words in lines if words[1].endswith("sft-ref")}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Held-out rows."""
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in split_rows("validation")[:48]))
    return file


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Where pytest runs, with one test of the user's own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "test_own.py").write_text("def test_own():\n    pass\n")
    return folder


@pytest.mark.slow
def test_a_sound_adapter_passes_beside_the_users_own_tests(toy_adapter: Path, data: Path, empty: Path) -> None:
    done = run(empty, "--sft-ref-target", toy_adapter, "--sft-ref-data", data, "--sft-ref-prompt", PROMPT)
    assert done.returncode == 0, done.stdout
    assert "test_own.py::test_own" in done.stdout
    passed = {name for name, outcome in outcomes(done.stdout).items() if outcome == "PASSED"}
    assert {"ART-204", "GEN-201", "verdict"} <= passed
    assert passed <= {each.id for each in checks.CHECKS} | {"verdict"}


@pytest.mark.slow
def test_a_changed_scaling_fails_its_check_and_the_verdict(toy_adapter: Path, data: Path, empty: Path) -> None:
    changed = Path(shutil.copytree(toy_adapter, empty / "changed"))
    (changed / "sft_ref_record.json").unlink(missing_ok=True)
    families.edit_config(changed, lora_alpha=400)
    done = run(empty, "--sft-ref-target", changed, "--sft-ref-data", data, "--sft-ref-prompt", PROMPT)
    assert done.returncode == 1, done.stdout
    failed = {name for name, outcome in outcomes(done.stdout).items() if outcome == "FAILED"}
    assert "verdict" in failed
    assert len(failed) > 1
    assert "broken:" in done.stdout
    assert "pytest_plugin.py" not in done.stdout  # the message alone


@pytest.mark.slow
def test_stages_without_data_are_not_shown_unless_others_are_required(toy_adapter: Path, empty: Path) -> None:
    done = run(empty, "--sft-ref-target", toy_adapter)
    assert outcomes(done.stdout)["verdict"] == "FAILED"
    assert "not shown:" in done.stdout
    done = run(empty, "--sft-ref-target", toy_adapter, "--sft-ref-require", "artifact", "--sft-ref-require", "load")
    assert done.returncode == 0, done.stdout


def test_a_target_that_does_not_exist_is_one_line(empty: Path) -> None:
    done = run(empty, "--sft-ref-target", "nothing_here")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--sft-ref-target: nothing_here: no such folder" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_checks_can_be_chosen_by_name(toy_adapter: Path, empty: Path) -> None:
    done = run(empty, "--sft-ref-target", toy_adapter, "-k", "ART-204")
    assert outcomes(done.stdout) == {"ART-204": "PASSED"}


def test_without_a_target_nothing_heavy_is_imported() -> None:
    code = "import sft_ref.integrations.pytest_plugin, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
