"""Entries take turns; each is judged by the median of its times an item over ours, round by round."""

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
    """Somebody who does a job.

    Attributes:
        job: what is done; only entries of one job are compared.
        precision: of computing.
        who: name, and what of its settings matters.
        prepare: loads, converts and warms up (not timed), and gives a function that does the job once and returns the
            seconds that it says it took (None: those that it took), and its output.
        items: done by one run.
        agree: from our output and another to a few words on how they compare.
        ours: whether it is the yardstick of its job and precision.
        products: seconds that the job's products take at the measured rate of the machine.
        reading: seconds that it takes to read the weights once a forward, for as few forwards as the job can have.
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
    """What came of an entry: seconds a run, the output of the last one, and how that compares with ours."""

    entry: Entry
    seconds: list[float] = field(default_factory=list)
    output: object = None
    ratios: list[float] = field(default_factory=list)
    agreement: str = ""
    error: str = ""


@dataclass(frozen=True)
class Limits:
    """What the machine gives, measured: products in FLOP/s by precision, and bytes/s read and written."""

    flops: dict[str, float]
    bandwidth: float

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in self.flops.items())
        return f"{rates}, memory {self.bandwidth / 1e9:.0f} GB/s"


def limits(device: torch.device) -> Limits:
    """Measured on products and copies that are large, the best of five."""
    flops = {}
    for name in ("float32", "bfloat16"):
        size = 1536 if device.type == "cpu" else 8192
        matrix = torch.randn(size, size, device=device).to(getattr(torch, name))
        flops[name] = 2 * size**3 / min(_time(functools.partial(torch.mm, matrix, matrix), device) for _ in range(5))
    source = torch.ones(2**30 if device.type == "cpu" else 2**31, dtype=torch.uint8, device=device)
    copy = functools.partial(torch.empty_like(source).copy_, source)  # into pages that are there already
    return Limits(flops, 2 * len(source) / min(_time(copy, device) for _ in range(5)))


def _time(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compete(entries: Sequence[Entry], rounds: int) -> list[Result]:
    """Job by job, all make ready; then, round by round, each takes its turn; one that fails is out, and says why."""
    results = [Result(entry) for entry in entries]
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what has been measured is shown
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
    """Of one job."""
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
    """Ours of the same job, and of the same precision where there is one."""
    ours = [r for r in results if r.entry.ours and r.entry.job == result.entry.job]
    same = [r for r in ours if r.entry.precision == result.entry.precision]
    return (same or ours)[0]


def median(result: Result) -> float:
    return statistics.median(result.seconds)


def pace(result: Result) -> float:
    """Seconds an item; what tables and pictures are sorted by."""
    return median(result) / result.entry.items
