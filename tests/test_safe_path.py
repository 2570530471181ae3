"""What lies in the working folder is not executed by the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sft_ref.harness.isolation.safe_path import safe_path

CLI = "import sys\nfrom sft_ref.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def test_a_module_in_the_working_folder_is_not_executed_by_the_judge(tmp_path: Path) -> None:
    program, work = tmp_path / "bin" / "program.py", tmp_path / "work"
    program.parent.mkdir()
    program.write_text(CLI)
    (work / "target").mkdir(parents=True)
    (work / "target" / "notes.txt").touch()
    for name in ("multiprocessing", "pickle", "selectors", "sitecustomize"):
        (work / f"{name}.py").write_text(f"open('executed_{name}', 'w'); raise SystemExit")
    done = subprocess.run(
        [sys.executable, program, "grade", "target"], cwd=work, capture_output=True, text=True, check=False
    )
    assert not list(work.glob("executed_*"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "neither code nor adapter_config.json" in done.stderr


@pytest.mark.parametrize("value", [None, "", "1"])
def test_the_environment_is_as_it_was_afterwards(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if value is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", value)
    with safe_path():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert os.environ.get("PYTHONSAFEPATH") == value
