"""Many submissions at once."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from graders import grade_by_name

from sft_ref.errors import OutputError
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, NotGraded
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.batch import GradedTarget, count_cores, grade_batch
from sft_ref.harness.grading.cache import ResultCache, content_of
from sft_ref.harness.report.files import as_json


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Gives what was graded so far: name, threads, process."""
    path = tmp_path / "log"
    monkeypatch.setenv("GRADED_LOG", str(path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return lambda: [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def submissions(folder: Path, *names: str) -> list[str]:
    """Folders with a file each."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "sft.py").write_text(name)
    return [str(folder / name) for name in names]


def grade(targets: list[str], folder: Path, *, jobs: int = 1, grader: str = "") -> dict[str, GradedTarget]:
    found = grade_batch(targets, grade_by_name, folder, jobs=jobs, grader=grader)
    return {Path(each.target).name: each for each in found}


def test_every_submission_gets_its_verdict_and_its_file(tmp_path: Path) -> None:
    targets = submissions(tmp_path, "a", "b_broken", "c_drift")
    found = grade(targets, tmp_path / "out", jobs=2)
    assert {name: isinstance(each.grade, Verdict) and str(each.grade.status) for name, each in found.items()} == {
        "a": "sound",
        "b_broken": "broken",
        "c_drift": "drift",
    }
    assert not any(each.from_cache for each in found.values())
    files = [json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()]
    assert sorted(file["result"]["path"] for file in files) == targets


def test_a_grading_that_dies_raises_or_quits_is_a_harness_error_for_that_one_alone(
    tmp_path: Path, log: Callable[[], list[list[str]]]
) -> None:
    names = ["a", "b_exit", "c", "d_killed", "e_raises", "f_quits", "g_no_submission", "h"]
    found = grade(submissions(tmp_path, *names), tmp_path / "out")
    errors = {name: each.grade for name, each in found.items() if isinstance(each.grade, NotGraded)}
    assert {name: error.code for name, error in errors.items()} == {
        "b_exit": HARNESS_ERROR,
        "d_killed": HARNESS_ERROR,
        "e_raises": HARNESS_ERROR,
        "f_quits": HARNESS_ERROR,
        "g_no_submission": BAD_INPUT,
    }
    assert "exit code 0" in errors["b_exit"].reason
    assert "SIGKILL" in errors["d_killed"].reason
    assert "RuntimeError: the judge has a bug (graders.py, line" in errors["e_raises"].reason
    assert [name for name, _, _ in log()] == names  # each once, in order
    assert len({process for _, _, process in log()}) == 3  # one worker, made anew where it died


def test_cores_are_shared_out(
    tmp_path: Path, log: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    monkeypatch.setattr("sft_ref.harness.grading.batch.count_cores", lambda: 8)
    grade(submissions(tmp_path, "a", "b", "c"), tmp_path / "out", jobs=3)
    assert {threads for _, threads, _ in log()} == {"2"}
    assert os.environ.get("OMP_NUM_THREADS") == before
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    grade(submissions(tmp_path, "d"), tmp_path / "out", jobs=3)
    assert log()[-1][1] == "1"  # who asks for less gets less
    assert count_cores() >= 1


def test_nothing_is_graded_twice(tmp_path: Path, log: Callable[[], list[list[str]]]) -> None:
    targets = submissions(tmp_path, "a", "b_broken")
    first = grade(targets, tmp_path / "out")
    second = grade([*targets, *submissions(tmp_path, "c")], tmp_path / "out")
    assert [name for name, _, _ in log()] == ["a", "b_broken", "c"]
    assert {name: each.from_cache for name, each in second.items()} == {"a": True, "b_broken": True, "c": False}
    assert as_json(second["b_broken"].grade) == as_json(first["b_broken"].grade)


def test_a_changed_submission_another_grader_and_one_without_a_verdict_are_graded_anew(
    tmp_path: Path, log: Callable[[], list[list[str]]]
) -> None:
    targets = submissions(tmp_path, "a", "b", "c_raises", "d_no_submission")
    grade(targets, tmp_path / "out")
    (tmp_path / "b" / "sft.py").write_text("changed")
    grade(targets, tmp_path / "out")
    assert [name for name, _, _ in log()][4:] == ["b", "c_raises", "d_no_submission"]
    again = grade(targets, tmp_path / "out", grader="other options")
    assert not any(each.from_cache for each in again.values())


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "", lambda text: "[1]",
                                    lambda text: text.replace('"sound"', '"fine"'),
                                    lambda text: text.replace('"checks"', '"chucks"'),
                                    lambda text: text.replace("31.4", "NaN")])  # fmt: skip
def test_a_damaged_result_is_never_trusted(
    damage: Callable[[str], str], tmp_path: Path, log: Callable[[], list[list[str]]]
) -> None:
    targets = submissions(tmp_path, "a")
    grade(targets, tmp_path / "out")
    [path] = (tmp_path / "out").iterdir()
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    found = grade(targets, tmp_path / "out")
    assert not found["a"].from_cache
    assert len(log()) == 2
    assert json.loads(path.read_text()) == json.loads(whole)


def test_submissions_of_one_name_in_two_folders_do_not_share_a_file(tmp_path: Path) -> None:
    targets = [*submissions(tmp_path / "x", "a"), *submissions(tmp_path / "y", "a")]
    list(grade_batch(targets, grade_by_name, tmp_path / "out", jobs=1))
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_result_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        grade(submissions(tmp_path, "a"), tmp_path / "file" / "out")


def test_the_content_of_a_submission_is_its_names_and_bytes(tmp_path: Path) -> None:
    [target] = submissions(tmp_path, "a")
    seen = {content_of(target)}

    def changes(change: Callable[[], object]) -> bool:
        change()
        before = len(seen)
        seen.add(content_of(target))
        return len(seen) > before

    folder = Path(target)
    assert changes((folder / "data").mkdir)
    assert changes(lambda: (folder / "data" / "x").write_text("1"))
    assert changes(lambda: (folder / "data" / "x").write_text("2"))
    assert changes(lambda: (folder / "data" / "x").rename(folder / "data" / "y"))
    assert changes(lambda: (folder / "link").symlink_to("/nowhere"))
    assert changes(lambda: os.mkfifo(folder / "pipe"))  # is not read: that would wait for ever
    assert not changes((folder / "__pycache__").mkdir)
    assert content_of("module:object") == ""


def test_what_is_no_path_is_never_kept(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "")
    cache.write("module:object", "", grade_by_name("module:object"))
    assert cache.read("module:object", "") is None


SCRIPT = """
import signal
import sys
sys.path.insert(0, {helpers!r})
from graders import grade_by_name
from sft_ref.cli import main as cli
from sft_ref.cli.grade import command
command.grade_one = grade_by_name
if __name__ == "__main__":  # not in a worker, which imports this too
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def sft_ref(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command line with the fake grader, in a process group of its own."""
    script = tmp_path / "cli.py"
    script.write_text(SCRIPT.format(helpers=str(Path(__file__).parent / "helpers")))
    start = functools.partial(
        subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return lambda *words: start([sys.executable, str(script), *words])


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGINT] * 3, 130), ([signal.SIGTERM] * 2, 143)],
    ids=["Ctrl-C three times", "terminated twice"],
)
def test_a_signal_ends_what_runs_keeps_what_is_done_and_the_same_command_goes_on(
    signals: list[signal.Signals],
    code: int,
    sft_ref: Callable[..., "subprocess.Popen[str]"],
    tmp_path: Path,
    log: Callable[[], list[list[str]]],
) -> None:
    submissions(tmp_path / "class", "a_broken", "b_slow", "c")
    words = ["grade", str(tmp_path / "class"), "--jobs", "1", "--output", str(tmp_path / "out")]
    scratch = tmp_path / "class" / "b_slow.scratch"
    process = sft_ref(*words)
    wait_for(scratch.exists)
    for number in signals:
        os.killpg(process.pid, number)  # as a terminal does
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "stopped with 1 of 3 graded" in err
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert "a_broken" in out
    assert not scratch.exists()  # the grading that was stopped has tidied up
    assert "broken" in (tmp_path / "out" / "grades.csv").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(log()[1][2]), 0)

    (tmp_path / "class" / "b_slow.go").touch()
    process = sft_ref(*words)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")
    assert [name for name, _, _ in log()] == ["a_broken", "b_slow", "b_slow", "c"]
    assert "graded before" in out
    assert "3 submissions: 2 sound, 1 broken" in out
    assert len((tmp_path / "out" / "grades.csv").read_text().splitlines()) == 4


def test_a_killed_run_leaves_no_worker_behind_and_the_next_goes_on(
    sft_ref: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, log: Callable[[], list[list[str]]]
) -> None:
    submissions(tmp_path / "class", "a", "b_slow")
    words = ["grade", str(tmp_path / "class"), "--jobs", "1", "--output", str(tmp_path / "out")]
    scratch = tmp_path / "class" / "b_slow.scratch"
    process = sft_ref(*words)
    wait_for(scratch.exists)
    wait_for(lambda: any((tmp_path / "out" / "results").glob("*.json")))
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not scratch.exists())

    def gone() -> bool:
        try:
            os.kill(int(log()[1][2]), 0)
        except ProcessLookupError:
            return True
        return "Z" in Path(f"/proc/{log()[1][2]}/stat").read_text().rsplit(")", 1)[1][:3]  # nobody has reaped it

    wait_for(gone)
    (tmp_path / "class" / "b_slow.go").touch()
    out, _ = sft_ref(*words).communicate(timeout=60)
    assert [name for name, _, _ in log()] == ["a", "b_slow", "b_slow"]
    assert "2 sound" in out


def test_a_second_run_into_one_output_folder_says_who_is_in_it_and_a_killed_one_does_not_block(
    sft_ref: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    submissions(tmp_path / "class", "a", "b_slow")
    words = ["grade", str(tmp_path / "class"), "--jobs", "1", "--output", str(tmp_path / "out")]
    first = sft_ref(*words)
    wait_for((tmp_path / "class" / "b_slow.scratch").exists)
    _, err = (second := sft_ref(*words)).communicate(timeout=60)
    advice = "wait until it ends, or give another --output"
    assert second.returncode == 2
    assert err == f"sft-ref: error: {tmp_path / 'out'} is in use by process {first.pid}; {advice}\n"
    first.kill()
    first.communicate(timeout=60)
    (tmp_path / "class" / "b_slow.go").touch()
    third = sft_ref(*words)
    third.communicate(timeout=60)
    assert third.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["grades.csv", "results"]


HEARS_CTRL_C = (
    "import signal, sys\nfrom sft_ref.cli import main as cli\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\nsys.exit(cli.main(sys.argv[1:]))"
)
"""A shell's background job starts with it ignored."""


@pytest.mark.parametrize("signals", [[signal.SIGINT] * 2, [signal.SIGTERM]], ids=["Ctrl-C twice", "terminated"])
@pytest.mark.slow
def test_an_interrupted_class_leaves_no_process_and_no_temporary_file(
    signals: list[signal.Signals], tmp_path: Path
) -> None:
    """Submissions that never end, really run."""
    for name in ("a", "b"):
        (tmp_path / "class" / name).mkdir(parents=True)
        code = "import pathlib, time\n\ndef format_prompt(question): ...\ndef train(): ...\ndef load(): ...\n"
        code += "def test(): ...\npathlib.Path('started').touch()\nwhile True: time.sleep(1)\n"
        (tmp_path / "class" / name / "sft.py").write_text(code)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HEARS_CTRL_C, "grade", "class", "--jobs", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=tmp_path, env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    wait_for(lambda: len(list(scratch.glob("**/started"))) == 2)
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signals[0]
    assert err == "\nsft-ref: stopped with 0 of 2 graded, in grades; the same command goes on from there\n"
    # torch makes the folder of its compiler's cache when it is imported, and keeps it for the next time
    assert not [path for path in scratch.iterdir() if not path.name.startswith("torchinductor")]
    wait_for(lambda: not [each for each in psutil.process_iter() if _runs_in(each, str(scratch))])


def _runs_in(process: psutil.Process, folder: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(folder in word for word in (*process.cmdline(), process.cwd(), *process.environ().values()))
    return False
