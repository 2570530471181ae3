"""Grades many targets in parallel, each in a worker process; if a worker dies, only its target is lost.

This process reads and writes the cache, whether workers of this machine or a cluster grade the targets.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from sft_ref.harness.core.grade import Grade

from .cache import ResultCache, content_of
from .worker import SECONDS, GradeOne, Worker

GradeAll = Callable[[Sequence[str], GradeOne], Iterator[tuple[str, Grade]]]
"""Function that grades each target once, and yields it with its grade as it finishes, in any order."""

_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class GradedTarget:
    """The result of one target, and whether it comes from an earlier run."""

    target: str
    grade: Grade
    from_cache: bool


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_batch(
    targets: Sequence[str],
    grade_one: GradeOne,
    folder: Path,
    *,
    jobs: int = 1,
    grader: str = "",
    seconds: float = SECONDS,
    grade_all: GradeAll | None = None,
) -> Generator[GradedTarget, None, None]:
    """Grades targets that are not in the cache, and yields each result after its file is written.

    Args:
        targets: targets without duplicates.
        grade_one: function that returns the verdict on one target; importable by name in a worker. A `SftRefError` is
            bad input; any other exception, or the death of the worker, is an error of the harness. The next run reuses
            neither.
        folder: folder of the cache.
        jobs: number of targets graded at a time on this machine; each gets an equal share of the cores.
        grader: identifier of the code and options of the grading.
        seconds: processor seconds per core that a worker of this machine may use for one target.
        grade_all: function that grades the targets missing from the cache, instead of workers of this machine.

    Raises:
        OutputError: a file cannot be written.
        KeyboardInterrupt: raised again after the workers have ended.
    """
    cache = ResultCache(folder, grader)
    todo = []
    for target in targets:
        before = cache.read(target, content := content_of(target))
        if before:
            yield GradedTarget(target, before, from_cache=True)
        else:
            todo.append((target, content))
    contents = dict(todo)
    grade_all = grade_all or partial(_grade_here, jobs=jobs, seconds=seconds)
    for target, grade in grade_all([target for target, _ in todo], grade_one):
        cache.write(target, contents[target], grade)
        yield GradedTarget(target, grade, from_cache=False)


def _grade_here(
    targets: Sequence[str], grade_one: GradeOne, *, jobs: int, seconds: float
) -> Iterator[tuple[str, Grade]]:
    """Grades in workers of this machine, each with an equal share of the cores."""
    share = max(1, count_cores() // jobs)
    given = os.environ.get(_THREADS, "")
    threads = min(share, int(given)) if given.isdecimal() and int(given) else share
    with mock.patch.dict(os.environ, {_THREADS: str(threads)}):  # read by torch when a worker imports it
        yield from _grade_in_workers(targets, grade_one, jobs, seconds)


def _grade_in_workers(
    targets: Sequence[str], grade_one: GradeOne, jobs: int, seconds: float
) -> Iterator[tuple[str, Grade]]:
    waiting = deque(targets)
    workers = [Worker(seconds) for _ in range(min(jobs, len(targets)))]
    running: dict[Future[dict[str, Any]], tuple[Worker, str]] = {}
    idle = list(workers)
    try:
        while waiting or running:
            while waiting and idle:
                worker, target = idle.pop(), waiting.popleft()
                running[worker.start(grade_one, target)] = worker, target
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, target = running.pop(future)
                idle.append(worker)
                yield target, worker.finish(future, target)
    finally:
        for worker, _ in running.values():
            worker.interrupt()
        for worker in workers:
            worker.end()
