"""`sft-ref grade --ray` and `sft-ref sweep --ray` as commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import build as corpus
import pytest
from cluster_graders import GO

from sft_ref.cli import main as cli
from sft_ref.cluster.tasks import spread
from sft_ref.sweep.cache import SweepCache
from sft_ref.sweep.cluster import rows

if TYPE_CHECKING:
    from .conftest import LocalCluster

pytestmark = pytest.mark.timeout(400)

SCRIPT = """
import functools, pathlib, signal, sys
from cluster_graders import grade_and_log
from sft_ref.cli import main as cli
from sft_ref.cli.grade import command
command.grade_one = functools.partial(grade_and_log, log=pathlib.Path({log!r}))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
sys.exit(cli.main(sys.argv[1:]))
"""


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_no_grading_behind_and_the_same_command_goes_on(
    number: signal.Signals, ray_cluster: LocalCluster, tmp_path: Path
) -> None:
    ray_cluster.fill(1)
    for name in ("a", "slow_b"):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "sft.py").write_text(name)
    log = tmp_path / "log"
    words = ["grade", str(tmp_path / "class"), "--output", str(tmp_path / "out"), "--ray", ray_cluster.address]
    start = [sys.executable, "-c", SCRIPT.format(log=str(log)), *words]
    process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: log.exists() and "slow_b" in log.read_text())
    wait_for(lambda: any((tmp_path / "out" / "results").glob("a-*.json")))
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert "stopped with 1 of 2 graded" in err
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
    grader = int(log.read_text().splitlines()[-1].split()[-1])
    wait_for(lambda: is_gone(grader))

    (tmp_path / GO).touch()
    again = subprocess.run(start, capture_output=True, text=True, timeout=300, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert "graded before" in again.stdout
    assert "2 submissions: 2 sound" in again.stdout
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["a", "slow_b", "slow_b"]


def test_an_address_without_a_cluster_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="ray is not installed: nox -s cluster")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sft.py").touch()
    for address in ("127.0.0.1:1", "nonsense", "ray://127.0.0.1:10001"):
        words = ["grade", str(tmp_path / "a"), "--output", str(tmp_path / "out"), "--ray", address]
        assert cli.main(words) == 2
        assert capsys.readouterr().err.startswith(f"sft-ref: error: --ray {address}: ")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_submission_is_graded_in_the_sandbox_of_a_node(
    ray_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_cluster.fill(1)
    monkeypatch.chdir(tmp_path)
    submission = next(each for each in corpus.SUBMISSIONS if each.name == "training_crashes")
    corpus.build(submission, tmp_path / "alice")
    words = ["grade", "alice", "--output", "out", "--seed", "3", "--json", "alice.json", "--ray", ray_cluster.address]
    assert cli.main(words) == 1
    [found] = json.loads(Path("alice.json").read_text())
    assert found["sandboxed"]
    assert (found["path"], found["verdict"], frozenset(found["stages"])) == ("alice", "broken", submission.stages)
    [again] = {each["rerun"] for each in found["checks"] if each["outcome"] == "fail"}
    assert again.startswith("sft-ref grade alice --seed 3")
    assert tempfile.gettempdir() not in json.dumps(found)


def noted(calls: Iterator[tuple[str, Any]], names: list[object]) -> Iterator[tuple[str, Any]]:
    for call in calls:
        names.append(call[0])
        yield call


@pytest.mark.slow
def test_a_sweep_on_a_cluster_has_the_cells_of_one_here_and_goes_on_where_it_was_interrupted(
    ray_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray_cluster.fill(2)
    monkeypatch.chdir(tmp_path)
    plan = ["sweep", "--base", "toy", "--train", "fp32", "bf16-mixed", "--load", "fp16", "--steps", "5"]
    plan += ["--questions", "4"]
    there = [*plan, "--json", "there.json", "--ray", ray_cluster.address]
    with monkeypatch.context() as patch:
        patch.setattr(SweepCache, "remove", lambda cache: None)
        assert cli.main(there) == 0
    Path("sweep.partial", "bf16-mixed", "fp16.cell.json").unlink()  # as if it had been interrupted there
    trained: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(rows, "spread", lambda function, calls, **how: spread(function, noted(calls, trained), **how))
        assert cli.main(there) == 0
    assert trained == ["bf16-mixed"]
    assert cli.main([*plan, "--json", "here.json"]) == 0
    found, here = (json.loads(Path(name).read_text()) for name in ("there.json", "here.json"))
    measured = {"tokens_per_second", "peak_memory_mib", "training"}
    assert [{key: row[key] for key in row.keys() - measured} for row in found] == [
        {key: row[key] for key in row.keys() - measured} for row in here
    ]
    assert not Path("sweep.partial").exists()
