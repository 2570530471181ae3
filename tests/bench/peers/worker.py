"""Runs each entry in its own process, so that threads and memory of one library do not slow another.

In one process with the others, ours took 1.6 times as long as alone.
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
    """An entry raised an error; the message is its own."""


class Worker:
    """Does the job of one entry in its turn, and is stopped during the turns of others."""

    def __init__(self, prepare: Callable[[], Run]) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process inherits locks of thread pools
        self._pipe, theirs = context.Pipe()
        job = cloudpickle.dumps(prepare)  # pickle cannot serialize a closure
        self._process = context.Process(target=_work, args=(theirs, job, torch.get_num_threads()), daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Waits until the entry has loaded and warmed up.

        Raises:
            WorkerError: the entry could not be prepared.
        """
        self._receive()

    def take_turn(self) -> tuple[float, object]:
        """Runs the job once; returns its seconds and its output.

        Raises:
            WorkerError: the job failed.
        """
        self._signal(signal.SIGCONT)
        self._pipe.send(None)
        seconds, output = self._receive()
        return seconds, output

    def end(self) -> None:
        """Kills the process, whatever it is doing."""
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
    """Prepares the entry, then does the job each time the parent asks for it; runs in the process."""
    from transformers.utils import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
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
    except Exception as error:  # noqa: BLE001  # the others continue, whatever a peer raises
        first = str(error).splitlines()[0] if str(error) else ""
        pipe.send((f"{type(error).__name__}: {first}"[:200], None))
