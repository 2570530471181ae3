"""Closed pipes, full disks, closed streams and narrow encodings: said, and never with the exit code of a verdict."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import graders
import pytest

from sft_ref.cli import main as cli
from sft_ref.cli.grade import command
from sft_ref.io.atomic_write import check_writable, write_atomic

GRADER = """
import sys
sys.path.insert(0, {helpers!r})
from graders import grade_by_name
from sft_ref.cli import main as cli
from sft_ref.cli.grade import command
command.grade_one = grade_by_name
if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
"""
FULL = Path("/dev/full")

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
    line = shlex.join(map(str, [sys.executable, *([script] if script else ["-m", "sft_ref"]), *words]))
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {line} {around}"],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@needs_full
@pytest.mark.parametrize("words", [["checks", "LOD-005"], ["--help"], ["grade", "--help"]])
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
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", graders.grade_by_name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "sft.py").write_text("")
    others = [(each, tmp_path / f"r{each}") for each in ("--json", "--csv", "--html", "--junit", "--gradescope")]
    files = [word for each, path in others if each != option for word in (each, str(path))]
    assert cli.main(["grade", str(tmp_path / "it"), option, str(FULL), *files]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sft-ref: error: cannot write /dev/full")
    assert error.count("\n") == 1
    assert FULL.is_char_device()  # was not replaced by a file
    assert all(path.stat().st_size for each, path in others if each != option)


@pytest.mark.parametrize("words", [["checks", "LOD-005"], ["--help"]])
def test_a_closed_pipe_is_exit_code_141_without_a_word(words: list[str]) -> None:
    assert into_a_closed_pipe([sys.executable, "-m", "sft_ref", *words]) == (cli.CLOSED_PIPE, "")


def into_a_closed_pipe(words: Sequence[str | Path]) -> tuple[int, str]:
    """The exit code of a command whose output nobody takes, and what it says besides."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("several", [False, True])
def test_a_closed_pipe_costs_no_report_of_a_grading(several: bool, grader: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sft.py").write_text("")
    targets = [tmp_path / "broken", *([tmp_path / "bröken"] if several else [])]
    files: list[str | Path] = ["--output", tmp_path / "out"] if several else ["--json", tmp_path / "out" / "r.json"]
    (tmp_path / "out").mkdir()
    assert into_a_closed_pipe([sys.executable, grader, "grade", *targets, *files]) == (cli.CLOSED_PIPE, "")
    assert list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("stream", ["<&- 2>&-", ">&-", "<&- >&- 2>&-"])
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
    assert run(["fly"], around).returncode == 2
    assert run(["--help"], around).returncode == 0


def ascii_streams(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Standard streams that know ASCII alone, as with LC_ALL=C; gives what was written to both."""
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding="ascii", write_through=True))
    return lambda: written.getvalue().decode("ascii")


def test_no_command_fails_where_the_terminal_knows_ascii_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "grade_one", graders.grade_by_name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "bröken").mkdir()
    (tmp_path / "bröken" / "sft.py").write_text("")
    adapter, short = str(tmp_path / "adäpter"), ["--base", "toy", "--steps", "2"]
    written = ascii_streams(monkeypatch)
    few = ["--train", "fp32", "--load", "fp32", "--questions", "2", "--folder", str(tmp_path / "swéep")]
    for words, code in (
        (["demo", "--output", adapter, "--batch-size", "2", *short], 0),
        (["train", "--output", adapter, "--overwrite", "--batch-size", "2", *short], 0),
        (["load", adapter], 0),
        (["test", adapter], 0),
        (["load", "→"], 2),
        (["checks"], 0),
        (["sweep", *short, *few], 0),
        (["grade", str(tmp_path / "bröken")], 0),
    ):
        assert cli.main(words) == code
    assert "br\\xf6ken" in unwrapped(written())


def unwrapped(box: str) -> str:
    """The text of a box without its edge and its line ends, for a long path goes over several lines."""
    return re.sub(r"[|\s]+", "", box)


def test_the_environment_that_says_ascii_is_obeyed(grader: Path, tmp_path: Path) -> None:
    done = run(["grade", tmp_path / "bröken"], "", grader, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "br\\xf6ken" in unwrapped(done.stdout)


ASKS = """
import sys
from graders import SOUND
from sft_ref.cli import main as cli
from sft_ref.cli.grade import command

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

    monkeypatch.setattr("sft_ref.cli.grade.run", bug)
    assert cli.main(["grade", "x"]) == 3
    error = capsys.readouterr().err
    assert r"ZeroDivisionError: \x1b[2J" in error
    assert error.endswith("sft-ref: internal error: please report the lines above\n")


def test_links_are_followed_and_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["/bin/cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    check_writable(tmp_path / "pipe")
    write_atomic(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=10)[0] == "through"
    write_atomic(Path(os.devnull), "away")
    assert Path(os.devnull).is_char_device()
