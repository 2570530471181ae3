"""Many submissions side by side, each in a worker whose death costs that one submission and no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

from sft_ref.errors import MachineError, SftRefError
from sft_ref.interrupts import GRACE, Interrupts

from .graded import BAD_INPUT, HARNESS_ERROR, Grade, Ungraded
from .kept import Kept, content_of
from .report.files import as_json, from_json
from .verdict import Verdict

GradeOne = Callable[[str], Verdict]

LOOK = 0.02
"""Seconds between two looks at a process that has died."""

_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Finished:
    """What came of one submission; `kept`: it was graded by an earlier run."""

    target: str
    grade: Grade
    kept: bool


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_many(
    targets: Sequence[str], grade_one: GradeOne, folder: Path, *, jobs: int, grader: str = ""
) -> Generator[Finished, None, None]:
    """Grades what was not graded yet, and gives each as it is there; its file stands in `folder` by then.

    Args:
        targets: submissions, each once.
        grade_one: gives the verdict on one; must be importable by name in a worker. A `SftRefError` is bad input, any
            other exception, and the death of the worker, a harness error: neither is kept, so the next run tries again.
        folder: holds one file a submission; those of an earlier run are used where content and grader are the same.
        jobs: submissions at a time; each gets its share of the cores.
        grader: names the code and the options that grade.

    Raises:
        OutputError: a file cannot be written.
        KeyboardInterrupt: passed on, once the workers have ended.
    """
    kept = Kept(folder, grader)
    todo = []
    for target in targets:
        before = kept.read(target, content := content_of(target))
        if before:
            yield Finished(target, before, kept=True)
        else:
            todo.append((target, content))
    contents = dict(todo)
    share = max(1, count_cores() // jobs)
    given = os.environ.get(_THREADS, "")
    threads = min(share, int(given)) if given.isdecimal() and int(given) else share
    with mock.patch.dict(os.environ, {_THREADS: str(threads)}):  # read by torch when a worker imports it
        for target, grade in _grade_all([target for target, _ in todo], grade_one, jobs):
            kept.write(target, contents[target], grade)
            yield Finished(target, grade, kept=False)


def _grade_all(targets: Sequence[str], grade_one: GradeOne, jobs: int) -> Iterator[tuple[str, Grade]]:
    waiting = deque(targets)
    workers = [_Worker() for _ in range(min(jobs, len(targets)))]
    running: dict[Future[dict[str, Any]], tuple[_Worker, str]] = {}
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


class _Worker:
    """One process that grades one submission after another, and is made anew when it dies.

    A pool of one: with more, nobody could tell which submission killed it, and the others would be lost with it.
    """

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None
        self.process: BaseProcess | None = None

    def start(self, grade_one: GradeOne, target: str) -> Future[dict[str, Any]]:
        """Begins to grade."""
        if self.process and not self.process.is_alive():  # it died while it had nothing to do
            self.end()
        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_outlive_nobody)
        others = set(multiprocessing.active_children())
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for us, who then tell the worker
        try:
            future = self.pool.submit(_grade_in_worker, grade_one, target)
        finally:
            signal.signal(signal.SIGINT, before)
        for process in set(multiprocessing.active_children()) - others:
            self.process = process
        return future

    def finish(self, future: Future[dict[str, Any]], target: str) -> Grade:
        """What came of it."""
        try:
            return from_json(future.result())
        except BrokenProcessPool:
            process = self.process
            self.end()
            died = _wait_for_code(process)
            how = signal.Signals(-died).name if died and died < 0 else f"exit code {died}"
            return Ungraded(target, f"the process that graded it died ({how})", HARNESS_ERROR)

    def interrupt(self) -> None:
        """Tells it to end what it does; `end` waits for that."""
        if self.process:
            self.process.terminate()

    def end(self) -> None:
        """Ends the process, by force if it must be."""
        if self.pool:
            self.pool.shutdown(wait=False, cancel_futures=True)
        if self.process:
            self.process.join(GRACE)
            self.process.kill()
        if self.pool:
            self.pool.shutdown(wait=True)
        self.pool = self.process = None


def _wait_for_code(process: BaseProcess | None) -> int | None:
    """The exit code, which another thread may be about to collect."""
    until = time.monotonic() + GRACE
    while process and process.exitcode is None and time.monotonic() < until:
        time.sleep(LOOK)
    return process.exitcode if process else None


def _outlive_nobody() -> None:
    """In a worker: ends with the process that started it, even if that is killed, and leaves standard output to it."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a device
        os.dup2(nothing.fileno(), 1)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(GRACE)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _grade_in_worker(grade_one: GradeOne, target: str) -> dict[str, Any]:
    """In a worker: the grade as JSON, for a check cannot pass between processes."""
    before = signal.signal(signal.SIGTERM, Interrupts())
    try:
        return as_json(grade_or_reason(grade_one, target))
    except KeyboardInterrupt:
        parent = multiprocessing.parent_process()
        if parent and not parent.is_alive():
            os._exit(1)  # nobody waits for an answer
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def grade_or_reason(grade_one: GradeOne, target: str) -> Grade:
    """The verdict, or why there is none."""
    try:
        return grade_one(target)
    except MachineError as error:
        return Ungraded(target, str(error), HARNESS_ERROR)
    except SftRefError as error:
        return Ungraded(target, str(error), BAD_INPUT)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # of the harness, never held against the submission
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return Ungraded(target, f"{type(error).__name__}: {error} ({where})", HARNESS_ERROR)
