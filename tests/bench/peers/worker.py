"""A process an entry: what one library keeps running, or has done to memory, must not slow another.

In one process with the others, ours took 1.6 times what it takes alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import torch

Run = Callable[[], tuple[float | None, object]]


class WorkerError(Exception):
    """What an entry raised, in its own words."""


class Worker:
    """Does the job of one entry when it is its turn, and is stopped while it is that of others."""

    def __init__(self, prepare: Callable[[], Run]) -> None:
        context = multiprocessing.get_context("spawn")  # forks inherit locks of thread pools
        self._pipe, theirs = context.Pipe()
        job = cloudpickle.dumps(prepare)  # a closure
        self._process = context.Process(target=_work, args=(theirs, job, torch.get_num_threads()), daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Waits until it has loaded and warmed up.

        Raises:
            WorkerError: it could not.
        """
        self._receive()

    def take_turn(self) -> tuple[float, object]:
        """Seconds that the job took, and its output.

        Raises:
            WorkerError: the job failed.
        """
        self._signal(signal.SIGCONT)
        self._pipe.send(None)
        seconds, output = self._receive()
        return seconds, output

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.join()

    def _receive(self) -> Any:
        try:
            error, found = self._pipe.recv()
        except EOFError:
            raise WorkerError("its process died") from None
        if error:
            raise WorkerError(error)
        self._signal(signal.SIGSTOP)
        return found

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None:
            os.kill(self._process.pid, number)


def _work(pipe: Connection, job: bytes, threads: int) -> None:
    """What the process does: makes ready, then does the job each time that it is told to."""
    from transformers.utils import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    try:
        run = cloudpickle.loads(job)()
        pipe.send((None, None))
        while True:
            pipe.recv()
            began = time.perf_counter()
            said, output = run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            pipe.send((None, (said or time.perf_counter() - began, output)))
    except EOFError:
        sys.exit()
    except Exception as error:  # noqa: BLE001  # whatever a peer raises, the others go on
        first = str(error).splitlines()[0] if str(error) else ""
        pipe.send((f"{type(error).__name__}: {first}"[:200], None))
