"""A class on a cluster of two nodes: a node that dies costs nothing but time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster_graders import GO, echo, grade_and_log, import_path

from sft_ref.cluster.connection import connected
from sft_ref.cluster.nodes import TaskResources, living_nodes, on_each_node
from sft_ref.cluster.tasks import AHEAD, RETRIES, spread
from sft_ref.errors import ClusterError
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, NotGraded
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.batch import GradedTarget, grade_batch
from sft_ref.harness.grading.cluster import grade_on_cluster

if TYPE_CHECKING:
    from .conftest import LocalCluster

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def class_folder(tmp_path: Path) -> Callable[..., list[str]]:
    """Makes submissions of these names."""

    def make(*names: str) -> list[str]:
        for name in names:
            (tmp_path / "my class" / name).mkdir(parents=True)
            (tmp_path / "my class" / name / "sft.py").write_text(f"the text of {name}")
        return [str(tmp_path / "my class" / name) for name in names]

    return make


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(log: Path) -> list[tuple[str, int, int]]:
    """Name, node and process of each grading that began."""
    rows = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(name, int(node), int(process)) for name, node, process in rows]


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def grade(targets: list[str], cluster: LocalCluster, log: Path, *, retries: int = RETRIES) -> Iterator[GradedTarget]:
    spread_out = partial(grade_on_cluster, address=cluster.address, seconds=600.0, digests={}, retries=retries)
    return grade_batch(targets, partial(grade_and_log, log=log), log.parent / "out", grade_all=spread_out)


def killed_meanwhile(cluster: LocalCluster, log: Path) -> threading.Thread:
    """Kills a node as soon as both are at work, and lets slow gradings go on then."""

    def act() -> None:
        wait_for(lambda: len({node for _, node, _ in lines(log)}) == 2)
        cluster.kill(lines(log)[0][1])
        (log.parent / GO).touch()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_node_that_dies_costs_nothing_and_each_submission_is_graded_exactly_once(
    ray_cluster: LocalCluster, class_folder: Callable[..., list[str]], log: Path
) -> None:
    ray_cluster.fill(2)
    targets = class_folder(*(f"slow_{n}" for n in range(6)))
    thread = killed_meanwhile(ray_cluster, log)
    found = list(grade(targets, ray_cluster, log))
    thread.join()
    assert sorted(each.target for each in found) == targets
    for each in found:
        assert isinstance(each.grade, Verdict)
        assert each.grade.path == each.target
        assert each.grade.notes == (f"{each.target}/sft.py holds the text of {Path(each.target).name}",)
    begun = lines(log)
    [again] = {name for name, _, _ in begun if [row[0] for row in begun].count(name) > 1}
    assert again == begun[0][0]
    assert len({node for name, node, _ in begun if name == again}) == 2
    assert len(begun) == len(targets) + 1
    assert all(each.from_cache for each in grade(targets, ray_cluster, log))
    assert lines(log) == begun


def test_without_retries_the_same_death_loses_the_grading(
    ray_cluster: LocalCluster, class_folder: Callable[..., list[str]], log: Path
) -> None:
    ray_cluster.fill(2)
    targets = class_folder(*(f"slow_{n}" for n in range(4)))
    thread = killed_meanwhile(ray_cluster, log)
    found = {Path(each.target).name: each.grade for each in grade(targets, ray_cluster, log, retries=0)}
    thread.join()
    [(name, lost)] = [(name, each) for name, each in found.items() if isinstance(each, NotGraded)]
    assert name == lines(log)[0][0]
    assert lost.code == HARNESS_ERROR
    assert "its task on the cluster was lost" in lost.reason
    assert len(found) == len(targets)


def test_what_a_submission_does_to_its_own_process_is_reported_as_on_one_machine(
    ray_cluster: LocalCluster, class_folder: Callable[..., list[str]], log: Path, tmp_path: Path
) -> None:
    ray_cluster.fill(2)
    targets = class_folder("a", "b_killed", "c_no_submission", "d_link")
    (tmp_path / "my class" / "d_link" / "link").symlink_to("/etc/passwd")
    found = {Path(each.target).name: each.grade for each in grade(targets, ray_cluster, log)}
    errors = {name: each for name, each in found.items() if isinstance(each, NotGraded)}
    assert {name: each.code for name, each in errors.items()} == {
        "b_killed": HARNESS_ERROR,
        "c_no_submission": BAD_INPUT,
        "d_link": BAD_INPUT,
    }
    assert "SIGKILL" in errors["b_killed"].reason
    assert errors["c_no_submission"].reason == f"{targets[2]}: holds no submission"
    assert errors["d_link"].reason == f"{targets[3]}/link is a link or a special file; hand in plain files"
    assert sorted(name for name, _, _ in lines(log)) == ["a", "b_killed", "c_no_submission"]  # none twice


def test_few_targets_are_packed_ahead_of_their_turn(ray_cluster: LocalCluster) -> None:
    nodes = len(ray_cluster.fill(2))
    taken, done, ahead = 0, 0, 0

    def calls() -> Iterator[tuple[int, tuple[str]]]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number, (str(number),)

    with connected(ray_cluster.address):
        for number, text in spread(echo, calls(), share=TaskResources(1)):
            assert text == str(number)
            ahead = max(ahead, taken - done)
            done += 1
    assert done == 40
    assert nodes <= ahead <= AHEAD * nodes


def test_nodes_import_nothing_from_the_folder_where_the_command_is_started(
    ray_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_cluster.fill(2)
    monkeypatch.chdir(tmp_path)
    with connected(ray_cluster.address):
        paths = on_each_node(import_path, share=TaskResources(1))
        assert len(paths) == len(living_nodes())
    assert not [path for found in paths.values() for path in found if path in ("", ".", str(tmp_path))]


def test_the_cluster_listens_on_loopback_only(ray_cluster: LocalCluster) -> None:
    ray_cluster.fill(1)
    listening = [
        connection.laddr.ip
        for process in ray_cluster.processes()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_a_node_with_other_code_is_refused_in_one_line(
    ray_cluster: LocalCluster, class_folder: Callable[..., list[str]], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_cluster.fill(1)
    monkeypatch.setattr("sft_ref.cluster.nodes.installed", lambda: {"sft_ref": "0123"})
    with pytest.raises(
        ClusterError, match=r"^node \S+ has other code of sft_ref .* install the same versions on all nodes$"
    ):
        list(grade(class_folder("a"), ray_cluster, log))
    assert not lines(log)


def test_where_no_node_is_left_the_command_says_so_and_goes_on_later(
    ray_cluster: LocalCluster, class_folder: Callable[..., list[str]], log: Path
) -> None:
    for node in ray_cluster.fill(2):
        ray_cluster.kill(node)
    ray_cluster.fill(1)
    targets = class_folder("a", "slow_b")

    def act() -> None:
        wait_for(lambda: {"a", "slow_b"} == {name for name, _, _ in lines(log)})
        ray_cluster.kill(lines(log)[-1][1])
        (log.parent / GO).touch()

    thread = threading.Thread(target=act)
    thread.start()
    found: list[GradedTarget] = []
    with pytest.raises(ClusterError, match="no living node of the cluster has 1 CPU for a task; add one"):
        found.extend(grade(targets, ray_cluster, log))
    thread.join()
    ray_cluster.fill(1)
    again = {Path(each.target).name: each.from_cache for each in grade(targets, ray_cluster, log)}
    assert again == {"a": True, "slow_b": False}
