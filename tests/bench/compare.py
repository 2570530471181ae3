"""Compares the ratios of a run of `speed.py` with the baseline's: `compare.py NEW.json BASELINE.json [--keep]`.

A job is slower if every round of it took longer, in yardsticks, than the slowest round of the baseline. So the noise
is that of the rounds themselves: with 7 and 7 rounds of equal speed, a false alarm happens once in 3432 times, with 4
and 4 once in 70, and more rarely the more runs the baseline has. --keep adds the rounds to the baseline instead.

The baseline has one set of ratios for each kind of machine, because processors differ in their matrix product speeds
by dtype; a GPU in use is part of the kind. On a kind of machine that is not in the baseline, nothing is compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

Ratios = dict[str, list[float]]

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "asimd", "bf16", "sve")
"""Processor flags of x86-64 and AArch64 that decide which matrix products of torch are fast."""


def read_run(path: Path) -> tuple[str, Ratios]:
    """Returns the kind of machine in a JSON file of pytest-benchmark, and the ratios by job name."""
    found = json.loads(path.read_text(encoding="utf-8"))
    machine, cpu = found["machine_info"]["machine"], found["machine_info"]["cpu"]
    flags = [flag for flag in FLAGS if flag in cpu.get("flags", ())]
    kind = " ".join([machine, *flags, *filter(None, [found["machine_info"].get("gpu")])])
    return kind, {each["name"]: each["extra_info"]["ratios"] for each in found["benchmarks"]}


def find_slower(new: Ratios, old: Ratios) -> list[str]:
    """Returns the jobs of which every round is slower than all rounds of the baseline."""
    return [name for name in new if name in old and min(new[name]) > max(old[name])]


def main(argv: list[str] | None = None) -> int:
    """Prints a line for each job; returns 1 if a job is slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("new", type=Path)
    parser.add_argument("baseline", type=Path)
    parser.add_argument("--keep", action="store_true", help="add the rounds to the baseline")
    args = parser.parse_args(argv)
    kind, new = read_run(args.new)
    kinds: dict[str, Ratios] = json.loads(args.baseline.read_text(encoding="utf-8")) if args.baseline.exists() else {}
    old = kinds.get(kind, {})
    if not (old or args.keep):
        print(f"the baseline holds no machine of this kind ({kind}): nothing is compared; --keep adds it")
    slower = [] if args.keep else find_slower(new, old)
    for name, ratios in new.items():
        known = old.get(name, ratios)
        change = statistics.median(ratios) / statistics.median(known)
        verdict = "SLOWER" if name in slower else "new" if name not in old else "within noise, or faster"
        print(
            f"{name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) yardsticks,"
            f" baseline {min(known):.2f} to {max(known):.2f}, {change:.2f} ×: {verdict}"
        )
    if args.keep:
        rounds = {name: [*old.get(name, []), *new.get(name, [])] for name in {**old, **new}}
        kept = {name: [round(ratio, 3) for ratio in ratios] for name, ratios in rounds.items()}
        args.baseline.write_text(json.dumps({**kinds, kind: kept}, indent=1) + "\n", encoding="utf-8")
    return int(bool(slower))


if __name__ == "__main__":
    raise SystemExit(main())
