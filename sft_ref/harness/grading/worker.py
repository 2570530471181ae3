"""Worker process that grades one target at a time, or reads foreign files, with limits on its time and memory.

Foreign files can keep a library busy forever, or make it allocate all memory. In a worker, this ends only one grading.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import psutil

from sft_ref.console.interrupts import GRACE, Interrupts
from sft_ref.errors import MachineError, SftRefError
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.report.files import as_json, from_json
from sft_ref.io.foreign import is_failure
from sft_ref.io.plain_files import remove

GradeOne = Callable[..., Verdict]
T = TypeVar("T")

LOOK = 0.02
"""Seconds between two polls of a dying process, or of its reports."""

SECONDS = 1200.0
"""Processor seconds per core for a worker; submissions run in other processes, with separate limits."""

DAYS = 7 * 86_400.0
"""Processor seconds per core for loading and querying a model of any size while the user watches its progress."""

MEMORY = 0.8
"""Fraction of the machine's memory that a worker may allocate."""


class Worker:
    """One process that grades one target after another, and is replaced when it dies.

    It is a pool of one process: in a larger pool, a death could not be attributed to a target, and would lose all
    targets.

    Args:
        seconds: processor seconds per core that each grading may use.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.pool: ProcessPoolExecutor | None = None
        self.process: BaseProcess | None = None
        self.scratch = ""
        self.reports: Connection | None = None

    def start(self, grade_one: GradeOne, target: str, *, reports: bool = False) -> Future[dict[str, Any]]:
        """Starts a grading; with `reports`, passes to `grade_one` a function `report` that sends to `self.reports`."""
        return self.submit(partial(_grade, grade_one, target, reports))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Starts a call in the process, with a limit on its processor time."""
        if self.process and not self.process.is_alive():  # the process died while idle
            self.end()
        if self.pool is None:
            self.scratch = os.path.realpath(tempfile.mkdtemp())  # the folder for temporary files may be a link
            self.reports, sender = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self.scratch, sender))
        others = set(multiprocessing.active_children())
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: only the parent handles Ctrl-C
        try:
            future = self.pool.submit(_call, call, self.seconds)
        finally:
            signal.signal(signal.SIGINT, before)
        for process in set(multiprocessing.active_children()) - others:
            self.process = process
        return future

    def finish(self, future: Future[dict[str, Any]], target: str) -> Grade:
        """Returns the result of a finished grading."""
        try:
            return from_json(future.result())
        except BrokenProcessPool:
            died = self.exit_code_after_death()
            if died == -signal.SIGXCPU:
                used = f"{self.seconds:.0f} s of processor time per core"
                reason = f"not graded: comparing it used up {used} in the harness's own process; raise --time-limit"
                return NotGraded(target, reason, HARNESS_ERROR)
            return NotGraded(target, f"the process that graded it died ({_how(died)})", HARNESS_ERROR)

    def exit_code_after_death(self) -> int | None:
        """Returns the exit code of a dead process, and cleans up after it."""
        died = _wait_for_code(self.process)
        self.end()
        return died

    def interrupt(self) -> None:
        """Asks the process to stop; `end` waits for it."""
        if self.process:
            self.process.terminate()

    def end(self) -> None:
        """Ends the process, by force if necessary, and removes its files."""
        if self.pool:
            self.pool.shutdown(wait=False, cancel_futures=True)
        if self.process:
            self.process.join(GRACE)
            self.process.kill()
        if self.pool:
            self.pool.shutdown(wait=True)
            remove(Path(self.scratch))
        self.pool = self.process = self.reports = None


def grade_alone(target: str, grade_one: GradeOne, report: Callable[[str], None], seconds: float) -> Grade:
    """Grades one target in a worker.

    Args:
        target: first argument of `grade_one`.
        grade_one: function that returns the verdict; importable by name; accepts `report`.
        report: callback for progress messages.
        seconds: processor seconds per core for the grading.
    """
    worker = Worker(seconds)
    future = worker.start(grade_one, target, reports=True)
    try:
        while not future.done():
            with contextlib.suppress(EOFError, OSError):
                if worker.reports and worker.reports.poll(LOOK):
                    report(worker.reports.recv())
        return worker.finish(future, target)
    except BaseException:
        worker.interrupt()
        raise
    finally:
        worker.end()


def run_alone(function: Callable[..., T], *arguments: object, seconds: float = SECONDS) -> T:
    """Calls a function on foreign files in a worker, with the worker's limits.

    Args:
        function: function that is importable by name; its arguments and its result must be picklable.
        arguments: arguments of the function.
        seconds: processor seconds per core.

    Raises:
        SftRefError: the function raised it, or the worker died, for example after using up its time or memory.
    """
    worker = Worker(seconds)
    future = worker.submit(partial(function, *arguments))
    try:
        return future.result()
    except MemoryError:
        raise MachineError(f"these files need more than {MEMORY:.0%} of this machine's memory") from None
    except BrokenProcessPool:
        died = worker.exit_code_after_death()
        if died == -signal.SIGXCPU:
            raise MachineError(f"reading these files used up {seconds:.0f} s of processor time per core") from None
        raise MachineError(f"the process that read these files died ({_how(died)})") from None
    except BaseException:
        worker.interrupt()
        raise
    finally:
        worker.end()


def _how(died: int | None) -> str:
    """Describes how a process died, by its exit code."""
    return signal.Signals(-died).name if died and died < 0 else f"exit code {died}"


def grade_or_reason(grade_one: GradeOne, target: str) -> Grade:
    """Returns the verdict, or the reason why there is none."""
    try:
        return grade_one(target)
    except MachineError as error:
        return NotGraded(target, str(error), HARNESS_ERROR)
    except SftRefError as error:
        return NotGraded(target, str(error), BAD_INPUT)
    except BaseException as error:  # an error of the harness, never a fault of the target
        if not (is_failure(error) or isinstance(error, SystemExit)):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return NotGraded(target, f"{type(error).__name__}: {error} ({where})", HARNESS_ERROR)


def _wait_for_code(process: BaseProcess | None) -> int | None:
    """Waits for the exit code of a process, which another thread may be about to collect."""
    until = time.monotonic() + GRACE
    while process and process.exitcode is None and time.monotonic() < until:
        time.sleep(LOOK)
    return process.exitcode if process else None


_sender: Connection | None = None
"""In a worker: the connection for its reports."""


def _begin(scratch: str, sender: Connection) -> None:
    """Initialises a worker: it ends with its parent process, even if that is killed; discards standard output."""
    global _sender  # one per process
    _sender, tempfile.tempdir = sender, scratch
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a device
        os.dup2(nothing.fileno(), 1)
    _limit("RLIMIT_DATA", MEMORY * psutil.virtual_memory().total)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(GRACE)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit(name: str, bound: float) -> None:
    """Lowers a limit of this process, named as in `resource`; does nothing on a system without limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    soft = math.ceil(bound) if hard == resource.RLIM_INFINITY else min(math.ceil(bound), hard)
    resource.setrlimit(kind, (soft, hard))


def _call(call: Callable[[], T], seconds: float) -> T:
    """Runs in a worker: calls a function with its own limit on processor time; a signal can interrupt it."""
    _limit("RLIMIT_CPU", sum(os.times()[:2]) + seconds * (os.cpu_count() or 1))
    before = signal.signal(signal.SIGTERM, Interrupts())
    try:
        return call()
    except KeyboardInterrupt:
        parent = multiprocessing.parent_process()
        if parent and not parent.is_alive():
            remove(Path(tempfile.gettempdir()))
            os._exit(1)  # nobody waits for the result, or cleans up
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _grade(grade_one: GradeOne, target: str, reports: bool) -> dict[str, Any]:
    """Runs in a worker: grades a target and returns the grade as JSON, because a check cannot be pickled."""
    if reports and _sender is not None:
        grade_one = partial(grade_one, report=_sender.send)
    return as_json(grade_or_reason(grade_one, target))
