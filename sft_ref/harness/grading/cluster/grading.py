"""Grades targets on a Ray cluster: packed here, unpacked there, and graded in a process with limits as everywhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from sft_ref.cluster.connection import connected
from sft_ref.cluster.nodes import Share, living_nodes, on_each_node
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
"""Of a node for one grading, where it has so many."""


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
        targets: files and folders.
        grade_one: importable by name on the nodes, with options as `read_options` gives them.
        address: of the cluster.
        seconds: processor seconds per core for one grading in the harness's own process.
        digests: of the options' files.
        most: gradings at a time; None for as many as the nodes can run.
        retries: how often a target is graded again whose node dies.

    Raises:
        ClusterError: the cluster cannot be used.
    """
    if not targets:
        return
    with connected(address):
        share = Share(min(CPUS, max((node.cpus for node in living_nodes()), default=1)))
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
    """On a node: the grade of a packed target, as JSON.

    Raises:
        ClusterError: a file of an option is another one here.
    """
    check_files(digests)
    return as_json(grade_alone(target, partial(grade_unpacked, grade_one, packed), lambda text: None, seconds))


def grade_unpacked(grade_one: GradeOne, packed: PackedTarget, target: str, **options: Any) -> Verdict:  # noqa: ANN401
    """In a worker on a node: unpacks a target and grades it; its texts name the path that the user gave."""
    with scratch_folder() as folder:
        names = {str(folder): SCRATCH}
        with errors_with_user_paths(names):
            path = packed.unpack(folder)
            names[str(path)] = target
            verdict = grade_one(str(path), **options)
        quoted = shlex.quote(str(path)), shlex.quote(target)
        results = tuple(replace(each, rerun=each.rerun.replace(*quoted)) for each in verdict.results)
        return replace(show_user_paths(replace(verdict, results=results), names), path=target)
