"""The nodes of the cluster that this process is connected to: how much they can run, and whether they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sft_ref.errors import ClusterError

from .installed import installed
from .remote import cause_of, run_checked

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterNode:
    """A node that is alive.

    Attributes:
        id: as Ray names it.
        name: of the machine, and where it can be reached.
        cpus, gpus: that Ray may give to tasks.
    """

    id: str
    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Share:
    """What one task gets of a node."""

    cpus: int
    gpus: int = 0

    def slots(self, node: ClusterNode) -> int:
        """Tasks that a node can run at a time."""
        return min(node.cpus // self.cpus, node.gpus // self.gpus if self.gpus else node.cpus)


def living_nodes() -> list[ClusterNode]:
    """The nodes that are alive and have a CPU for tasks."""
    import ray

    found = []
    for node in ray.nodes():
        cpus, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        if node["Alive"] and cpus:
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found.append(ClusterNode(node["NodeID"], name, cpus, gpus))
    return found


def on_each_node(function: Callable[..., T], *arguments: object, share: Share) -> dict[ClusterNode, T]:
    """Calls a function on each node that can run such a task; a node that dies meanwhile is left out.

    Args:
        function: importable by name on the nodes.
        arguments: of the function.
        share: that the call gets, as a later task does.

    Raises:
        ClusterError: no node can run it, or one has other code, or cannot import it.
        SftRefError: as the function raises it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=0)(run_checked)
    started = {}
    for node in living_nodes():
        if share.slots(node):
            here = NodeAffinitySchedulingStrategy(node.id, soft=False)
            call = remote.options(scheduling_strategy=here)
            started[node] = call.remote(installed(), function, *arguments)
    results: dict[ClusterNode, Any] = {}
    for node, reference in started.items():
        try:
            results[node] = ray.get(reference)
        except ray.exceptions.RayError as error:
            if (cause := cause_of(error)) is not None:
                raise cause from error
            if node.id in {each.id for each in living_nodes()}:
                raise ClusterError(f"node {node.name} does not run what it is given ({first_line(error)})") from error
    if not results:
        raise ClusterError(no_node(share))
    return results


def no_node(share: Share) -> str:
    """The message where no node can run a task."""
    wanted = f"{share.cpus} CPU" + (f" and {share.gpus} GPU" if share.gpus else "")
    return f"no living node of the cluster has {wanted} for a task; add one with `ray start --address ADDRESS`"


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
