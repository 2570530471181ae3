"""The nodes of the connected cluster: how many tasks each can run, and calls of a function on each of them."""

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
    """A living node.

    Attributes:
        id: Ray's id of the node.
        name: host name and address of the machine.
        cpus, gpus: CPUs and GPUs that Ray may assign to tasks.
    """

    id: str
    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class TaskResources:
    """The resources of a node that one task gets."""

    cpus: int
    gpus: int = 0

    def slots(self, node: ClusterNode) -> int:
        """Returns the number of tasks that a node can run at a time."""
        return min(node.cpus // self.cpus, node.gpus // self.gpus if self.gpus else node.cpus)


def living_nodes() -> list[ClusterNode]:
    """Returns the nodes that are alive and have a CPU for tasks."""
    import ray

    found = []
    for node in ray.nodes():
        cpus, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        if node["Alive"] and cpus:
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found.append(ClusterNode(node["NodeID"], name, cpus, gpus))
    return found


def on_each_node(function: Callable[..., T], *arguments: object, share: TaskResources) -> dict[ClusterNode, T]:
    """Calls a function on each node that can run such a task; omits nodes that die meanwhile.

    Args:
        function: function that the nodes can import by name.
        arguments: arguments of the function.
        share: resources of each call, the same as for a later task.

    Raises:
        ClusterError: no node can run the function, or a node has other code or cannot import it.
        SftRefError: the function raises it.
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
                raise ClusterError(
                    f"node {node.name} cannot run a task ({first_line(error)}); see its Ray logs"
                ) from error
    if not results:
        raise ClusterError(no_node(share))
    return results


def no_node(share: TaskResources) -> str:
    """Returns the error message for a cluster in which no node can run a task."""
    wanted = f"{share.cpus} CPU" + (f" and {share.gpus} GPU" if share.gpus else "")
    return f"no living node of the cluster has {wanted} for a task; add one with `ray start --address ADDRESS`"


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
