"""Runs a sweep on a Ray cluster: one task per training, which also loads under every load policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_ref.cluster.connection import connected
from sft_ref.cluster.nodes import TaskResources, living_nodes, on_each_node
from sft_ref.cluster.tasks import LostTask, spread
from sft_ref.errors import ClusterError
from sft_ref.io.plain_files import scratch_folder
from sft_ref.io.reading import converted, is_folder

from ..cache import SweepCache
from ..cell import Cell
from ..run import Plan, conditions, sweep

RowResult = tuple[dict[str, Any], list[dict[str, Any]]]
"""The conditions of one training, and its cells as JSON."""


def sweep_on_cluster(plan: Plan, folder: Path, address: str) -> Iterator[Cell]:
    """Yields the cells of each training as it finishes, after those of an interrupted sweep in the same folder.

    Args:
        plan: parameters of the sweep; a base that is a folder must be on a disk that all nodes share.
        folder: folder that stores finished cells until the sweep ends.
        address: address of the cluster.

    Raises:
        ClusterError: the cluster cannot be used, its nodes would give different figures, or a training was lost.
        SftRefError: the plan or the folder is bad.
        KeyboardInterrupt: Ctrl-C was pressed; finished cells are stored.
    """
    pairs = plan.pairs()
    if is_folder(Path(plan.base)):
        plan = replace(plan, base=str(Path(plan.base).resolve()))
    with connected(address):
        share = _share()
        found = on_each_node(node_conditions, plan, share=share)
        shared = next(iter(found.values()))
        for node, own in found.items():
            _check_same(shared, own, node.name)
        cache = SweepCache(folder, shared)
        missing = []
        for train, loads in pairs:
            cells = [cache.read_cell(train.name, load.name) for load in loads]
            yield from filter(None, cells)
            if None in cells:
                missing.append(train.name)
        calls = ((name, (replace(plan, train=(name,)),)) for name in missing)
        with closing(spread(sweep_row, calls, share=share)) as results:
            for name, result in results:
                if isinstance(result, LostTask):
                    raise ClusterError(f"training {name} was lost on the cluster ({result.reason}); repeat the command")
                _check_same(shared, result[0], f"that trained {name}")
                for cell in (converted(row, Cell) for row in result[1]):
                    if cache.read_cell(cell.train, cell.load) is None:
                        cache.write_cell(cell)
                        yield cell
    cache.remove()


def _share() -> TaskResources:
    """Returns the share of each training: all CPUs of the smallest usable node, and a GPU if any node has one."""
    nodes = living_nodes()
    gpus = int(any(node.gpus for node in nodes))
    return TaskResources(min((node.cpus for node in nodes if node.gpus or not gpus), default=1), gpus)


def _check_same(wanted: dict[str, Any], found: dict[str, Any], node: str) -> None:
    """Refuses figures that were measured under other conditions.

    Raises:
        ClusterError: a condition differs.
    """
    if differing := [key for key in wanted if wanted[key] != found.get(key)]:
        raise ClusterError(f"node {node} has another {', '.join(differing)}; sweep on nodes of one kind")


def node_conditions(plan: Plan) -> dict[str, Any]:
    """Returns the conditions of a sweep on a node, without the name of the machine, since nodes may be equal."""
    return conditions(plan) | {"machine": "nodes of a cluster"}


def sweep_row(plan: Plan) -> RowResult:
    """Returns conditions and cells of a plan with one train policy; runs on a node."""
    with scratch_folder() as folder:
        return node_conditions(plan), [cell.to_json() for cell in sweep(plan, folder / "sweep")]
