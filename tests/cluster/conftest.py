"""A Ray cluster of this machine's processes: a head that runs nothing, and nodes that tests may kill."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import sft_ref

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

HELPERS = Path(__file__).parents[1] / "helpers"
STORE = 80 * 2**20


class LocalCluster:
    """A cluster whose processes listen on loopback only.

    Attributes:
        address: of the cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.address: str = cluster.address
        self._nodes: dict[int, Any] = {}

    def fill(self, count: int) -> list[int]:
        """Adds nodes of one CPU until there are so many; the process ids of all."""
        while len(self._nodes) < count:
            node = self._cluster.add_node(
                node_ip_address="127.0.0.1", num_cpus=1, object_store_memory=STORE, include_dashboard=False
            )
            self._nodes[node.all_processes["raylet"][0].process.pid] = node
        return list(self._nodes)

    def kill(self, node: int) -> None:
        """Kills a node and all that runs on it."""
        self._cluster.remove_node(self._nodes.pop(node), allow_graceful=False)

    def processes(self) -> list[psutil.Process]:
        """All processes of the cluster."""
        heads = [each.process.pid for group in self._cluster.head_node.all_processes.values() for each in group]
        roots = [psutil.Process(pid) for pid in (*heads, *self._nodes)]
        return [*roots, *(child for root in roots for child in root.children(recursive=True))]


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[LocalCluster]:
    """Without nodes at first; each test fills it as it needs."""
    scratch = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets lie in it
    (scratch / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        package = Path(sft_ref.__file__).parents[1]
        patch.setenv("PYTHONPATH", os.pathsep.join([str(package), str(HELPERS), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # else Ray replaces loopback by the machine's address
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", str(scratch))
        patch.delenv("RAY_ADDRESS", raising=False)
        pytest.importorskip("ray", reason="ray is not installed: nox -s cluster")
        from ray.cluster_utils import Cluster as RayCluster

        head = {"node_ip_address": "127.0.0.1", "num_cpus": 0, "object_store_memory": STORE}
        cluster = RayCluster(initialize_head=True, head_node_args={**head, "include_dashboard": False})
        try:
            yield LocalCluster(cluster)
        finally:
            cluster.shutdown()
            shutil.rmtree(scratch, ignore_errors=True)
