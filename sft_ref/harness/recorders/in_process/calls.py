"""Calls of an implementation's code: what it raises is a failure of it, never of the harness."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.instruments.generation_recorder import Ids, record_prompt

P = ParamSpec("P")
T = TypeVar("T")


def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs the implementation's code.

    Raises:
        Failure: it raises an exception.
    """
    try:
        return work(*args, **kwargs)
    except (Failure, Unavailable, Blocked):
        raise
    except (Exception, SystemExit) as error:  # whatever foreign code raises is a finding about it
        seen = f"the code raises {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise Failure(seen, "no exception", getattr(work, "__qualname__", repr(work))) from error


@contextlib.contextmanager
def fault_of(stage: str) -> Iterator[None]:
    """Within it, a failure is that of a stage."""
    try:
        yield
    except Failure as failure:
        failure.stage = stage
        raise


def ask_prompt(answerer: Answerer, question: str) -> Ids:
    """Ids that reach the model when a question is asked.

    An exception is the prompt's if `format_prompt` raises it, and else a failure of generate.
    """
    call(answerer.format_prompt, question)
    with fault_of("generate"):
        return call(record_prompt, answerer, question)
