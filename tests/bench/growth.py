"""Checks that time grows linearly with the number of questions, and memory not at all: `growth.py [SIZE ...]`.

Each size runs on the toy in its own process, because a process never lowers its peak. Fails (exit code 1) if a question
takes 1.5 times its time at the best size, or if memory grows by more than the size of the answers. It takes about
five minutes, most of them for 10⁵ questions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile

SLOWER = 1.5
SAMPLE = 4000
"""Bytes of memory that one question may keep: its texts and numbers, which `ask` returns, and malloc's overhead."""

FULL = 4000
"""Least number of questions for which all batches but one are full; with fewer, the peak depends on their lengths."""

KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""oneDNN caches a kernel of some hundred kB for each shape, up to 1024 of them: memory growth that is not ours and that
is bounded. The cache is small here, so that it does not hide growth of our own."""

CHILD = """
import itertools, json, resource, sys, time
import sft_ref, sft_ref.reference.fast.batches
from sft_ref.reference import sft
adapter, size, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sft_ref.reference.fast.batches.BATCH_TOKENS = tokens
llm = sft_ref.load(adapter)
rows = list(itertools.islice(itertools.cycle(sft_ref.split_rows("validation")), size))
sft.ask(llm, rows[:100])
began = time.perf_counter()
sft.ask(llm, rows)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def measure(adapter: str, size: int, tokens: int) -> tuple[float, float]:
    """Returns the seconds, and the peak memory in bytes, with at most `tokens` tokens per batch."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, adapter, str(size), str(tokens)],
        capture_output=True, text=True, check=True, env={**os.environ, **KERNELS},
    )  # fmt: skip
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main() -> int:
    """Prints a row for each size, and a row for each batch size at the second of the sizes."""
    import sft_ref.reference.fast.batches

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 1000, 10_000, 100_000])
    sizes = sorted(parser.parse_args().sizes)
    paces, failed = [], False
    with tempfile.TemporaryDirectory() as folder:
        adapter = f"{folder}/adapter"
        sft_ref.train(adapter, base="toy")
        print("questions  batch tokens  seconds  ms a question  peak MB")
        usual, second = sft_ref.reference.fast.batches.BATCH_TOKENS, sizes[min(1, len(sizes) - 1)]
        runs = [(size, usual) for size in sizes] + [(second, tokens) for tokens in (1, 512, 2048, 8192, 65_536)]
        peaks = []
        for size, tokens in runs:
            seconds, peak = measure(adapter, size, tokens)
            pace = 1000 * seconds / size
            print(f"{size:9}  {tokens:12}  {seconds:7.2f}  {pace:13.2f}  {peak / 1e6:7.0f}", flush=True)
            if tokens == usual and size >= FULL:
                paces.append(pace)
                peaks.append((size, peak))
    for (few, low), (many, high) in itertools.pairwise(peaks):
        left = (high - low) / (many - few)
        print(f"from {few} to {many} questions: {left:.0f} bytes each")
        failed |= left > SAMPLE
    failed |= max(paces, default=0.0) > SLOWER * min(paces, default=0.0)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
