"""Measures the overhead of a witness after the first step: processor time of its hooks as a share of the steps'.

``python tests/bench/witness_overhead.py [ROWS]``, with ROWS rows per batch. The times of whole loops with and without a
witness vary by more than this overhead between runs on a machine with other load.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import witnessed

import sft_ref
from sft_ref.witnessing.training.observer import TrainingObserver

STEPS = 60


class Clock:
    """Adds up the processor time of calls, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, method: Callable[..., None]) -> Callable[..., None]:
        """Wraps a method to time it."""

        def timed(*args: Any) -> None:  # noqa: ANN401
            began = time.process_time()
            method(*args)
            self.seconds += time.process_time() - began

        return timed


def main() -> None:
    """Prints both times and their ratio."""
    torch.set_num_threads(1)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    clock = Clock()
    hooks: dict[str, Any] = {
        name: clock.around(getattr(TrainingObserver, name)) for name in ("_before_step", "_after_step")
    }
    with (
        witnessed.no_warnings(),
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(TrainingObserver, **hooks),
    ):
        model = witnessed.adapted_toy()
        optimizer, batches = witnessed.adamw(model), witnessed.toy_batches(STEPS, rows)
        with sft_ref.witness(model, witnessed.tokenizer(), folder):
            witnessed.train_loop(model, batches[:1], optimizer)
            clock.seconds, began = 0.0, time.process_time()
            witnessed.train_loop(model, batches[1:], optimizer)
            total = time.process_time() - began
    step, own = (seconds / (STEPS - 1) * 1e3 for seconds in (total - clock.seconds, clock.seconds))
    print(f"a step of {rows} rows takes {step:.2f} ms, and the witness {own:.3f} ms of it more: {own / step:.2%}")


if __name__ == "__main__":
    main()
