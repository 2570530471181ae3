"""Calls an implementation's code; its exceptions count as failures of the implementation, never of the harness."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TaskRow
from sft_ref.harness.instruments.generation_recorder import Ids, record_prompt

P = ParamSpec("P")
T = TypeVar("T")


def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs the implementation's code.

    Raises:
        Failure: the code raises an exception.
    """
    try:
        return work(*args, **kwargs)
    except (Failure, Unavailable, Blocked):
        raise
    except (Exception, SystemExit) as error:  # any exception of foreign code is a finding about it
        seen = f"the code raises {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise Failure(seen, "no exception", getattr(work, "__qualname__", repr(work))) from error


@contextlib.contextmanager
def fault_of(stage: str) -> Iterator[None]:
    """Assigns failures within the block to a stage."""
    try:
        yield
    except Failure as failure:
        failure.stage = stage
        raise


def training_batch(implementation: Implementation, rows: Sequence[TaskRow]) -> Batch:
    """Returns rows as they reach training.

    An exception, or another number of rows than given, is a failure of the stage tokens.
    """
    with fault_of("tokens"):
        found = call(implementation.training_batch, rows)
        if len(found.input_ids) != len(rows):
            raise Failure(f"training_batch returns {len(found.input_ids)} rows", f"one for each of {len(rows)} texts")
    return found


def ask_prompt(answerer: Answerer, question: str) -> Ids:
    """Returns the ids that reach the model when a question is asked.

    An exception counts as a failure of the prompt if `format_prompt` raises it, else of generate.
    """
    call(answerer.format_prompt, question)
    with fault_of("generate"):
        return call(record_prompt, answerer, question)
