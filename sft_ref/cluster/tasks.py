"""Spreads calls of one function over a cluster; repeats a call on another node if its node dies."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sft_ref.console.interrupts import GRACE
from sft_ref.errors import ClusterError

from .installed import installed
from .nodes import TaskResources, first_line, living_nodes, no_node
from .remote import cause_of, run_checked

RETRIES = 3
"""How often a call is repeated if its node or process dies."""

AHEAD = 2
"""Submitted calls per call that can run, so that the arguments of the next call are sent meanwhile."""

_LOOK = 2.0
"""Seconds between two queries of the living nodes."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class LostTask:
    """A call that has no result, without the function being at fault."""

    reason: str


def spread(
    function: Callable[..., T],
    calls: Iterator[tuple[K, tuple[object, ...]]],
    *,
    share: TaskResources,
    most: int | None = None,
    retries: int = RETRIES,
) -> Generator[tuple[K, T | LostTask], None, None]:
    """Makes all calls and yields each result when it arrives.

    Args:
        function: function that the nodes can import by name.
        calls: key and arguments of each call; read only as calls can be submitted, so that few are in memory.
        share: resources of a node for each call.
        most: largest number of calls at a time; None for as many as the nodes can run.
        retries: how often a call is repeated if its node or process dies.

    Raises:
        ClusterError: no node is left, or a node has other code.
        SftRefError: the function raises it.
        KeyboardInterrupt: the run was interrupted; raised again after the running calls have cleaned up.
    """
    import ray

    strategy = {"num_cpus": share.cpus, "num_gpus": share.gpus, "scheduling_strategy": "SPREAD"}
    remote = ray.remote(max_retries=retries, **strategy)(run_checked)
    running: dict[Any, K] = {}
    waiting = True
    try:
        while waiting or running:
            slots = sum(map(share.slots, living_nodes()))
            if not slots:
                raise ClusterError(no_node(share))
            while waiting and len(running) < (most or AHEAD * slots):
                try:
                    key, arguments = next(calls)
                except StopIteration:
                    waiting = False
                    break
                try:
                    running[remote.remote(installed(), function, *arguments)] = key
                except ray.exceptions.RayError as error:  # such as a full object store
                    yield key, LostTask(first_line(error))
                del arguments
            done, _ = ray.wait(list(running), timeout=_LOOK) if running else ([], [])
            for reference in done:
                result = _result(reference)
                yield running.pop(reference), result
                del reference  # lets Ray free its copy of the result
    finally:
        for reference in running:
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=GRACE)


def _result(reference: Any) -> Any:  # noqa: ANN401  # Ray's own types are not installed everywhere
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        if (cause := cause_of(error)) is not None:
            raise cause from error
        return LostTask(f"{type(error).__name__}: {first_line(error)}")
