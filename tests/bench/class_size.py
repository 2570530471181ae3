"""Measures the cost of a class of a thousand for the coordinator: `class_size.py [SIZE ...]`: memory, resume, reports.

One submission of the corpus is really graded. The rest is a simulation: copies of it with changed bytes, whose result
is that verdict under their own names, so that hashing, cache, tables and reports do all their work, and no model runs.
Fails (exit code 1) if a target costs the coordinator more than `SAMPLE` bytes, or if a killed run does not resume
within `RESUME` seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "submissions"))

import build as corpus

NAME = "alpha_of_zero"
SAMPLE = 100_000
"""Bytes of memory that a target may cost the coordinator: its verdict, and its share of the reports that show it."""
RESUME = 5.0
"""Limit of seconds from the start of a command to the first grading of a remaining target."""
KILLS = 5

CHILD = """
import functools, json, pathlib, resource, sys, time
began = time.time()
from sft_ref.cli.grade.submissions import grade_class
from sft_ref.harness.grading.targets import find_targets
from sft_ref.harness.report.files import from_json, write_json
from sft_ref.harness.report.page.write import write_html
known = json.loads(pathlib.Path(sys.argv[1]).read_text())[0]
folder, pause = pathlib.Path(sys.argv[2]), float(sys.argv[3])
def grade_all(targets, _):
    print(json.dumps({"first": time.time()}), file=sys.stderr, flush=True)
    for target in targets:
        time.sleep(pause)
        yield target, from_json(json.loads(json.dumps(known | {"path": target})))
def write(grades):
    write_html(grades, folder / "class.html")
    write_json(grades, folder / "class.json")
targets = find_targets([str(folder / "class")]).targets
grade_class(targets, functools.partial(print), folder / "out", write, jobs=1, seconds=1.0, grade_all=grade_all)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "seconds": time.time() - began}), file=sys.stderr)
"""


def make_class(folder: Path, size: int) -> None:
    """Writes copies of a submission, each with different bytes."""
    submission = next(each for each in corpus.SUBMISSIONS if each.name == NAME)
    for number in range(size):
        handed_in = corpus.build(submission, folder / f"student {number}")
        with next(handed_in.rglob("sft.py")).open("a", encoding="utf-8") as file:
            file.write(f"\n# {number}\n")


def start(known: Path, folder: Path, pause: float) -> subprocess.Popen[str]:
    """Starts the simulated command."""
    words = [sys.executable, "-W", "ignore", "-c", CHILD, str(known), str(folder), str(pause)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, float]:
    """Waits for a command, and returns its measurements."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    found: dict[str, float] = {}
    for line in errors.splitlines():
        found |= json.loads(line)
    return found


def main() -> int:
    """Prints a row for each size, then a row for each kill of the largest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[200, 1000])
    parser.add_argument(
        "--known", type=Path, metavar="FILE", help="a real verdict, as `sft-ref grade --json` writes it"
    )
    args = parser.parse_args()
    sizes = sorted(args.sizes)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        known = args.known or _grade_really(Path(scratch))
        print("targets  peak MB  seconds  from the cache  peak MB  page MB  (simulated)")
        peaks = []
        for size in sizes:
            folder = Path(scratch, str(size))
            make_class(folder / "class", size)
            fresh, again = (finish(start(known, folder, 0)) for _ in range(2))
            page = (folder / "class.html").stat().st_size
            columns = (f"{size:7}  {fresh['peak'] / 1e6:7.0f}  {fresh['seconds']:7.1f}", f"{again['seconds']:14.1f}",
                       f"{again['peak'] / 1e6:7.0f}  {page / 1e6:7.1f}")  # fmt: skip
            print("  ".join(columns), flush=True)
            peaks.append(max(fresh["peak"], again["peak"]))
        if len(sizes) > 1:
            each = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
            print(f"a target costs {each:.0f} bytes (at most {SAMPLE})")
            failed |= each > SAMPLE
        failed |= not _resumes(known, folder)
    return int(failed)


def _grade_really(scratch: Path) -> Path:
    """Grades one submission, and returns the file path of its verdict."""
    known = scratch / "known.json"
    make_class(scratch / "real", 1)
    words = [sys.executable, "-m", "sft_ref", "grade", str(scratch / "real" / "student 0"), "--json", str(known)]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
    return known


def _resumes(known: Path, folder: Path) -> bool:
    """Kills a command at random times, and returns whether it resumes within `RESUME` seconds."""
    results = folder / "out" / "results"
    for path in results.iterdir():
        path.unlink()
    slowest = 0.0
    for _ in range(KILLS):
        process = start(known, folder, 0.01)
        time.sleep(random.SystemRandom().uniform(2, 8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stored = len(list(results.glob("*.json")))
        began = time.time()
        process = start(known, folder, 0.01)
        assert process.stderr is not None
        seconds = json.loads(process.stderr.readline())["first"] - began
        process.kill()
        process.communicate()
        print(f"killed with {stored} results; it goes on after {seconds:.1f} s", flush=True)
        slowest = max(slowest, seconds)
    return slowest <= RESUME


if __name__ == "__main__":
    sys.exit(main())
