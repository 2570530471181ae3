"""Spreads calls of one function over a cluster; a call on a node that dies is made again on another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sft_ref.console.interrupts import GRACE
from sft_ref.errors import ClusterError

from .installed import installed
from .nodes import Share, first_line, living_nodes, no_node
from .remote import cause_of, run_checked

RETRIES = 3
"""How often a call is made again whose node or process dies."""

AHEAD = 2
"""Calls that are submitted for each that can run: the next one's arguments travel meanwhile."""

_LOOK = 2.0
"""Seconds between two looks at the nodes."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class LostTask:
    """A call without a result, through no fault of the function."""

    reason: str


def spread(
    function: Callable[..., T],
    calls: Iterator[tuple[K, tuple[object, ...]]],
    *,
    share: Share,
    most: int | None = None,
    retries: int = RETRIES,
) -> Generator[tuple[K, T | LostTask], None, None]:
    """Makes all calls, and yields each result as it comes.

    Args:
        function: importable by name on the nodes.
        calls: a key and the arguments of each; the next is taken when it can be submitted, so that few are in memory.
        share: of a node, for each call.
        most: calls at a time; None for as many as the nodes can run.
        retries: how often a call is made again whose node or process dies.

    Raises:
        ClusterError: no node is left, or one has other code.
        SftRefError: as the function raises it.
        KeyboardInterrupt: raised again once the calls that ran have tidied up.
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
                del reference  # frees what Ray keeps of it
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
