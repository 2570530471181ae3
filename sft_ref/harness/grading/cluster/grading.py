"""Grades targets on a Ray cluster: packs them here, and unpacks and grades them on a node in a process with limits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from sft_ref.cluster.connection import connected
from sft_ref.cluster.nodes import TaskResources, living_nodes, on_each_node
from sft_ref.cluster.tasks import RETRIES, LostTask, spread
from sft_ref.errors import SubmissionError
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.worker import GradeOne, grade_alone
from sft_ref.harness.report.files import as_json, from_json
from sft_ref.harness.report.user_paths import SCRATCH, errors_with_user_paths, show_user_paths
from sft_ref.io.plain_files import scratch_folder

from .options import check_files
from .packing import PackedTarget, pack

CPUS = 2
"""Number of CPUs of a node reserved for one grading, if the node has as many."""


def grade_on_cluster(
    targets: Sequence[str],
    grade_one: GradeOne,
    *,
    address: str,
    seconds: float,
    digests: Mapping[str, tuple[str, str]],
    most: int | None = None,
    retries: int = RETRIES,
) -> Iterator[tuple[str, Grade]]:
    """Grades each target on some node, and yields it with its grade as it finishes.

    Args:
        targets: paths of files and folders.
        grade_one: function that grades one target; importable by name on the nodes, with options from `read_options`.
        address: address of the cluster.
        seconds: processor seconds per core for one grading in the harness's own process.
        digests: digests of the files named by options.
        most: maximum number of gradings at a time; None runs as many as the nodes can.
        retries: number of times that a target is graded again after its node died.

    Raises:
        ClusterError: the cluster cannot be used.
    """
    if not targets:
        return
    with connected(address):
        share = TaskResources(min(CPUS, max((node.cpus for node in living_nodes()), default=1)))
        on_each_node(check_files, digests, share=share)
        refused: list[tuple[str, Grade]] = []

        def calls() -> Iterator[tuple[str, tuple[object, ...]]]:
            for target in targets:
                try:
                    packed = pack(target)
                except SubmissionError as error:
                    refused.append((target, NotGraded(target, str(error), BAD_INPUT)))
                    continue
                yield target, (packed, target, grade_one, seconds, digests)
                del packed

        with closing(spread(grade_packed, calls(), share=share, most=most, retries=retries)) as results:
            for target, result in results:
                yield target, _grade_of(target, result)
        yield from refused


def _grade_of(target: str, result: dict[str, Any] | LostTask) -> Grade:
    if isinstance(result, LostTask):
        return NotGraded(target, f"not graded: its task on the cluster was lost ({result.reason})", HARNESS_ERROR)
    return from_json(result)


def grade_packed(
    packed: PackedTarget, target: str, grade_one: GradeOne, seconds: float, digests: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """Runs on a node: returns the grade of a packed target, as JSON.

    Raises:
        ClusterError: a file named by an option differs on this node.
    """
    check_files(digests)
    return as_json(grade_alone(target, partial(grade_unpacked, grade_one, packed), lambda text: None, seconds))


def grade_unpacked(grade_one: GradeOne, packed: PackedTarget, target: str, **options: Any) -> Verdict:  # noqa: ANN401
    """Runs in a worker on a node: unpacks a target and grades it; the texts of the verdict use the user's path."""
    with scratch_folder() as folder:
        names = {str(folder): SCRATCH}
        with errors_with_user_paths(names):
            path = packed.unpack(folder)
            names[str(path)] = target
            verdict = grade_one(str(path), **options)
        quoted = shlex.quote(str(path)), shlex.quote(target)
        results = tuple(replace(each, rerun=each.rerun.replace(*quoted)) for each in verdict.results)
        return replace(show_user_paths(replace(verdict, results=results), names), path=target)
