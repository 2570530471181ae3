"""The comparison of benchmarks: what is slower beyond its noise fails, and what is not does not."""

import json
import runpy
from pathlib import Path

compare = runpy.run_path(str(Path(__file__).parent / "bench" / "compare.py"))["main"]


def write_run(path: Path, ratios: list[float]) -> str:
    path.write_text(json.dumps({"benchmarks": [{"name": "job", "extra_info": {"ratios": ratios}}]}))
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
    assert json.loads(baseline.read_text()) == {"job": [1.0, 1.1, 1.4, 1.5]}
    assert compare([write_run(tmp_path / "run.json", [1.45, 1.6]), str(baseline)]) == 0
