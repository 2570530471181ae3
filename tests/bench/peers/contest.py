"""Runs entries in turn; compares them by the median over rounds of the ratio of their time per item to ours."""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from worker import Run, Worker, WorkerError


@dataclass(frozen=True)
class Entry:
    """A tool that does a job in one configuration.

    Attributes:
        job: description of the job; only entries of the same job are compared.
        precision: compute precision.
        who: name of the tool, and its relevant settings.
        prepare: loads, converts and warms up (not timed), and returns a function that does the job once and returns the
            seconds to report (None: the measured wall-clock seconds), and its output.
        items: number of items that one run processes.
        agree: compares our output and another in a few words.
        ours: whether it is the yardstick of its job and precision.
        products: seconds of the job's matrix products at the measured rate of the machine.
        reading: seconds to read the weights once per forward pass, for the fewest possible forward passes.
    """

    job: str
    precision: str
    who: str
    prepare: Callable[[], Run]
    items: float
    agree: Callable[[object, object], str]
    ours: bool = False
    products: float = 0.0
    reading: float = 0.0


@dataclass
class Result:
    """The result of an entry: seconds of each run, output of the last run, and its comparison with ours."""

    entry: Entry
    seconds: list[float] = field(default_factory=list)
    output: object = None
    ratios: list[float] = field(default_factory=list)
    agreement: str = ""
    error: str = ""


@dataclass(frozen=True)
class Limits:
    """Measured limits of the machine: matrix products in FLOP/s by precision, and bytes/s read and written."""

    flops: dict[str, float]
    bandwidth: float

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in self.flops.items())
        return f"{rates}, memory {self.bandwidth / 1e9:.0f} GB/s"


def limits(device: torch.device) -> Limits:
    """Measures the limits on large matrix products and copies, each the best of five."""
    flops = {}
    for name in ("float32", "bfloat16"):
        size = 1536 if device.type == "cpu" else 8192
        matrix = torch.randn(size, size, device=device).to(getattr(torch, name))
        flops[name] = 2 * size**3 / min(_time(functools.partial(torch.mm, matrix, matrix), device) for _ in range(5))
    source = torch.ones(2**30 if device.type == "cpu" else 2**31, dtype=torch.uint8, device=device)
    copy = functools.partial(torch.empty_like(source).copy_, source)  # into pages that are already allocated
    return Limits(flops, 2 * len(source) / min(_time(copy, device) for _ in range(5)))


def _time(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compete(entries: Sequence[Entry], rounds: int) -> list[Result]:
    """Prepares all entries of each job, then runs them in turn in each round; drops a failing entry, with its error."""
    results = [Result(entry) for entry in entries]
    with contextlib.suppress(KeyboardInterrupt):  # on Ctrl-C, shows the measurements so far
        for job in dict.fromkeys(entry.job for entry in entries):
            _take_turns([result for result in results if result.entry.job == job], rounds)
    done = [result for result in results if result.seconds]
    for result in done:
        ours = yardstick(result, done)
        share = ours.entry.items / result.entry.items
        result.ratios = [share * a / b for a, b in zip(result.seconds, ours.seconds, strict=False)]
        result.agreement = "" if ours is result else result.entry.agree(ours.output, result.output)
    return results


def _take_turns(results: Sequence[Result], rounds: int) -> None:
    """Runs the entries of one job in turn."""
    with contextlib.ExitStack() as stack:
        workers: list[tuple[Result, Worker]] = []
        for result in results:
            worker = Worker(result.entry.prepare)
            stack.callback(worker.end)
            with _failure_kept(result):
                worker.wait_until_ready()
                workers.append((result, worker))
            entry = result.entry
            print(f"  {entry.job}, {entry.precision}: {entry.who} {result.error or 'ready'}", flush=True)
        for _ in range(rounds):
            for result, worker in workers:
                if not result.error:
                    with _failure_kept(result):
                        seconds, result.output = worker.take_turn()
                        result.seconds.append(seconds)


@contextlib.contextmanager
def _failure_kept(result: Result) -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        result.error = str(error)


def yardstick(result: Result, results: Sequence[Result]) -> Result:
    """Returns our result of the same job, and of the same precision if there is one."""
    ours = [r for r in results if r.entry.ours and r.entry.job == result.entry.job]
    same = [r for r in ours if r.entry.precision == result.entry.precision]
    return (same or ours)[0]


def median(result: Result) -> float:
    return statistics.median(result.seconds)


def pace(result: Result) -> float:
    """Returns the seconds per item, by which tables and pictures are sorted."""
    return median(result) / result.entry.items
