"""Closed pipes, full disks, closed streams and narrow encodings: said, and never with the exit code of a verdict."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sft_ref import cli
from sft_ref.harness.report.whole import check_writable, write_whole

GRADER = """
import sys
sys.path.insert(0, {helpers!r})
from graders import grade_by_name
from sft_ref import cli
from sft_ref.harness import command
command.grade_one = grade_by_name
if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
"""
FULL = Path("/dev/full")
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture
def grader(tmp_path: Path) -> Path:
    """The command line with made-up verdicts."""
    script = tmp_path / "grader.py"
    script.write_text(GRADER.format(helpers=str(Path(__file__).parent / "helpers")))
    (tmp_path / "bröken").mkdir()
    (tmp_path / "bröken" / "sft.py").write_text("")
    return script


def run(
    words: Sequence[str | Path], around: str = "", script: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a shell, `around` being its redirections."""
    command = [sys.executable, *([script] if script else ["-m", "sft_ref"]), *words]
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {shlex.join(map(str, command))} {around}"],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@needs_full
@pytest.mark.parametrize("words", [["checks"], ["checks", "LOD-005"], ["--help"], ["grade", "--help"]])
def test_a_full_disk_behind_standard_output_is_one_line_and_exit_code_2(words: list[str]) -> None:
    done = run(words, "> /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("sft-ref: error: cannot write standard output (No space left on device)")
    assert done.stderr.count("\n") == 1


@needs_full
def test_a_verdict_that_cannot_be_shown_is_in_the_reports_all_the_same(grader: Path, tmp_path: Path) -> None:
    done = run(["grade", tmp_path / "bröken", "--json", tmp_path / "r.json"], "> /dev/full", grader)
    assert done.returncode == 2
    assert json.loads((tmp_path / "r.json").read_text())[0]["verdict"] == "sound"


@needs_full
@pytest.mark.parametrize("option", ["--json", "--csv", "--html", "--junit", "--gradescope"])
def test_a_full_disk_behind_a_report_is_one_line_and_exit_code_2_and_costs_no_other_report(
    option: str, grader: Path, tmp_path: Path
) -> None:
    others = [(each, tmp_path / f"r{each}") for each in ("--json", "--csv", "--html", "--junit", "--gradescope")]
    files = [word for each, path in others if each != option for word in (each, path)]
    done = run(["grade", tmp_path / "bröken", option, FULL, *files], "", grader)
    assert done.returncode == 2
    assert done.stderr.startswith("sft-ref: error: cannot write /dev/full")
    assert done.stderr.count("\n") == 1
    assert FULL.is_char_device()  # was not replaced by a file
    assert all(path.stat().st_size for each, path in others if each != option)


@pytest.mark.parametrize("words", [["checks"], ["--help"]])
def test_a_closed_pipe_is_exit_code_141_without_a_word(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "sft_ref", *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.CLOSED_PIPE, "")


@pytest.mark.parametrize("several", [False, True])
def test_a_closed_pipe_costs_no_report_of_a_grading(several: bool, grader: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sft.py").write_text("")
    targets = [tmp_path / "broken", *([tmp_path / "bröken"] if several else [])]
    files = ["--output", tmp_path / "out"] if several else ["--json", tmp_path / "out" / "r.json"]
    (tmp_path / "out").mkdir()
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, grader, "grade", *targets, *files]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.CLOSED_PIPE, "")
    assert list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device_and_no_file_gets_its_number(
    stream: str, grader: Path, tmp_path: Path
) -> None:
    files = [word for each in ("--json", "--csv", "--html") for word in (each, tmp_path / f"r{each}")]
    done = run(["grade", tmp_path / "bröken", *files], stream, grader)
    assert (done.returncode, done.stderr) == (0, "")
    [row] = json.loads((tmp_path / "r--json").read_text())
    assert row["verdict"] == "sound"
    assert ("SOUND" in done.stdout) == (">&-" not in stream.replace("2>&-", ""))


@pytest.mark.parametrize("around", ["2> /dev/full", "2>&-", "2> >(exec 0<&-)"])
def test_a_lost_error_stream_changes_no_exit_code(around: str) -> None:
    assert run(["checks", "XYZ-001"], around).returncode == 2
    assert run(["checks", "LOD-005"], around).returncode == 0


def test_no_command_fails_where_the_terminal_knows_ascii_alone(grader: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adäpter"
    training = ["--base", "toy", "--steps", "2", "--batch-size", "2"]
    for words, code in (
        (["demo", "--output", adapter, *training], 0),
        (["load", adapter], 0),
        (["load", tmp_path / "→"], 2),
        (["checks"], 0),
        (["sweep", "--base", "toy", "--train", "fp32", "--load", "fp32", "--steps", "2", "--questions", "2",
          "--folder", tmp_path / "swéep"], 0),
    ):  # fmt: skip
        done = run(words, "", None, **ASCII)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        (done.stdout + done.stderr).encode("ascii")
    done = run(["grade", tmp_path / "bröken"], "", grader, **ASCII)
    assert done.returncode == 0
    assert r"br\xf6ken" in done.stdout


ASKS = """
import sys
from graders import SOUND
from sft_ref import cli
from sft_ref.harness import command

def ask(target, **_):
    assert sys.stdin.read() == ""
    import subprocess
    assert subprocess.run(["cat"], stdout=subprocess.PIPE, check=True).stdout == b""
    return SOUND

command.grade_one = ask
print(cli.main(["grade", "reference"]), sys.stdin.read())
"""


def test_a_grading_and_what_it_starts_read_no_standard_input() -> None:
    helpers = str(Path(__file__).parent / "helpers")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([helpers, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", ASKS], input="yes", capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n0 yes\n")  # it is there again afterwards


def test_a_bug_of_ours_is_exit_code_3_and_shows_no_control_character(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(_: object) -> None:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr("sft_ref.harness.command.run", bug)
    assert cli.main(["grade", "x"]) == 3
    error = capsys.readouterr().err
    assert r"ZeroDivisionError: \x1b[2J" in error
    assert error.endswith("sft-ref: internal error: please report the lines above\n")


def test_links_are_followed_and_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["/bin/cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    check_writable(tmp_path / "pipe")
    write_whole(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=10)[0] == "through"
    write_whole(Path(os.devnull), "away")
    assert Path(os.devnull).is_char_device()
