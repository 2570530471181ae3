"""Benchmarks: what is slower beyond its noise fails; peers take turns, each in a process of its own."""

import importlib
import json
import multiprocessing
import os
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

compare = runpy.run_path(str(Path(__file__).parent / "bench" / "compare.py"))["main"]


def write_run(path: Path, ratios: list[float], flags: tuple[str, ...] = ("avx2",)) -> str:
    machine = {"machine": "x86_64", "cpu": {"flags": ["fpu", *flags]}}
    benchmarks = [{"name": "job", "extra_info": {"ratios": ratios}}]
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks}))
    return str(path)


def test_a_job_whose_every_round_is_slower_fails_and_one_whose_rounds_overlap_does_not(tmp_path: Path) -> None:
    baseline = str(tmp_path / "baseline.json")
    kept = write_run(tmp_path / "kept.json", [1.0, 1.1, 1.3])
    assert compare([kept, baseline, "--keep"]) == 0
    assert compare([write_run(tmp_path / "same.json", [1.2, 1.5, 1.6]), baseline]) == 0
    assert compare([write_run(tmp_path / "slow.json", [1.4, 1.5, 1.6]), baseline]) == 1
    assert compare([write_run(tmp_path / "fast.json", [0.4, 0.5]), baseline]) == 0


def test_a_baseline_keeps_the_rounds_of_all_its_runs(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    for ratios in ([1.0, 1.1], [1.4, 1.5]):
        compare([write_run(tmp_path / "run.json", ratios), str(baseline), "--keep"])
    assert json.loads(baseline.read_text()) == {"x86_64 avx2": {"job": [1.0, 1.1, 1.4, 1.5]}}
    assert compare([write_run(tmp_path / "run.json", [1.45, 1.6]), str(baseline)]) == 0


def test_machines_of_different_kinds_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = tmp_path / "baseline.json"
    compare([write_run(tmp_path / "run.json", [1.0, 1.1]), str(baseline), "--keep"])
    other = write_run(tmp_path / "other.json", [3.0, 3.1], ("avx2", "amx_bf16"))
    assert compare([other, str(baseline)]) == 0
    assert "no machine of this kind (x86_64 avx2 amx_bf16)" in capsys.readouterr().out
    compare([other, str(baseline), "--keep"])
    assert json.loads(baseline.read_text()) == {
        "x86_64 avx2": {"job": [1.0, 1.1]},
        "x86_64 avx2 amx_bf16": {"job": [3.0, 3.1]},
    }
    assert compare([write_run(tmp_path / "run.json", [2.0, 2.1]), str(baseline)]) == 1


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent / "bench" / "peers")
    return importlib.import_module("contest")


def sleeper(seconds: float) -> Callable[[], Callable[[], tuple[None, str]]]:
    def prepare() -> Callable[[], tuple[None, str]]:
        import threading
        import time

        def stay_busy() -> None:
            while True:
                sum(range(1000))

        def run() -> tuple[None, str]:
            time.sleep(seconds)
            return None, "said"

        threading.Thread(target=stay_busy, daemon=True).start()
        return run

    return prepare


def failing() -> Any:  # noqa: ANN401
    raise RuntimeError("no such engine\nand more")


def dying() -> Any:  # noqa: ANN401
    return lambda: os._exit(3)


@pytest.mark.slow
def test_peers_are_judged_by_their_time_over_ours_and_one_that_fails_says_why(contest: ModuleType) -> None:
    def entry(who: str, prepare: object, items: float = 1, *, ours: bool = False) -> object:
        return contest.Entry("job", "fp32", who, prepare, items, lambda a, b: f"{a} and {b}", ours)

    entries = [entry("us", sleeper(0.2), ours=True), entry("half", sleeper(0.8), 2)]
    entries += [entry("broken", failing), entry("dead", dying)]
    us, half, broken, dead = contest.compete(entries, 2)
    assert us.ratios == [1, 1]
    assert half.ratios == pytest.approx([2, 2], rel=0.5)
    assert half.agreement == "said and said"
    assert broken.error == "RuntimeError: no such engine"
    assert dead.error == "its process died"


def test_who_has_no_turn_stands_still(contest: ModuleType) -> None:
    """Else the threads that a library keeps running slow all others."""
    import psutil
    from worker import Worker  # found as contest is

    worker = Worker(sleeper(0.1))
    try:
        worker.wait_until_ready()
        [started] = multiprocessing.active_children()
        child = psutil.Process(started.pid)
        time.sleep(0.2)
        before = child.cpu_times().user
        time.sleep(0.5)
        assert child.cpu_times().user - before <= 0.02
        worker.take_turn()
        assert child.cpu_times().user - before >= 0.02
    finally:
        worker.end()
