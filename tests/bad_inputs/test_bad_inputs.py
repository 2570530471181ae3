"""Every bad input of the list gives one clear line, its exit code, and nothing else."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest

from sft_ref.cli import main as cli

from .cases import Case, read_cases

CASES = list(read_cases(Path(__file__).with_name("cases")))
SECONDS = 20.0
"""Of processor time that a case may take; most take a twentieth of one."""


def test_the_list_is_long_and_names_each_case_once() -> None:
    assert len(CASES) >= 400
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.usefixtures("no_hub")
def test_a_bad_input_is_refused_in_one_line(
    case: Case,
    sound: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    case.make(sound)
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # as the interpreter's own
    stdin = io.StringIO("y\ny\ny\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    before = _listing()
    began = time.process_time()
    code = _run(case)
    seconds = time.process_time() - began
    out, error = capsys.readouterr()
    assert code in case.codes, error
    assert case.says in (error if code == 2 else out)
    assert "Traceback" not in out + error
    assert error.count("\n") == (code == 2)
    assert error.startswith("sft-ref: error: " if code == 2 else "")
    assert len(error) < 1000
    assert stdin.tell() == 0
    assert _listing() == before
    assert seconds < SECONDS


def _run(case: Case) -> int:
    try:
        return cli.main(case.argv)
    except SystemExit as end:  # of argparse
        return int(end.code or 0)


def _listing() -> list[str]:
    """All paths in the working folder, one level after another, links not followed."""
    return sorted(f"{folder}/{name}" for folder, folders, names in os.walk(".") for name in [*folders, *names])
