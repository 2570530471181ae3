"""The logic on folders that look like the kernel's; moving and killing on the kernel's own, where it can be written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sft_ref.harness.isolation import cgroup, sandbox
from sft_ref.harness.isolation.cgroup import Group, choose_parent, make_group


def pretend(folder: Path, controllers: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.subtree_control").write_text(controllers + "\n")
    (folder / "cgroup.procs").touch()
    return folder


def test_the_nearest_group_that_hands_on_its_controllers_is_chosen(tmp_path: Path) -> None:
    top = pretend(tmp_path / "top", "cpu memory pids")
    slice_ = pretend(top / "user.slice", "memory pids")
    own = pretend(slice_ / "app.scope", "")
    assert choose_parent(own, top) == slice_
    pretend(slice_, "cpu pids")
    assert choose_parent(own, top) == top
    pretend(top, "cpu memory")
    assert choose_parent(own, top) is None


def test_nothing_above_the_mount_is_chosen(tmp_path: Path) -> None:
    pretend(tmp_path, "memory pids")
    own = pretend(tmp_path / "top" / "own", "")
    assert choose_parent(own, tmp_path / "top") is None


def test_a_group_that_this_user_may_not_change_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = pretend(tmp_path / "top", "memory pids")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert choose_parent(top, top) is None


def forget(folder: Path) -> None:
    """As the kernel removes a group, whose files are its own."""
    shutil.rmtree(folder)


def test_a_group_has_its_limits_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rmdir", forget)
    with make_group(tmp_path, memory=1000, processes=7) as group:
        names = ("memory.max", "pids.max", "memory.swap.max", "memory.oom.group")
        assert [(group.folder / name).read_text() for name in names] == ["1000", "7", "0", "1"]
        for count, expected in ((0, False), (2, True)):
            (group.folder / "memory.events").write_text(f"low 0\nmax 5\noom 1\noom_kill {count}\n")
            assert group.has_run_out is expected
    assert not list(tmp_path.iterdir())


def test_a_machine_that_delegates_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "find_parent", lambda: None)
    assert "is delegated" in cgroup.why_not.__wrapped__()


def test_a_group_that_does_not_hold_its_limit_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rmdir", forget)
    monkeypatch.setattr(cgroup, "TRIAL", 2**20)
    monkeypatch.setattr(cgroup, "find_parent", lambda: tmp_path)
    assert "does not enforce its limit" in cgroup.why_not.__wrapped__()


def test_a_group_that_cannot_be_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "find_parent", lambda: tmp_path / "gone")
    assert "no cgroup can be created" in cgroup.why_not.__wrapped__()


def test_what_the_kernel_kills_for_its_group_has_used_up_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "why_not", lambda: "")
    monkeypatch.setattr(cgroup, "find_parent", lambda: tmp_path)
    monkeypatch.setattr(Path, "rmdir", forget)
    (tmp_path / "workspace").mkdir()
    for count, ended in ((0, "lost"), (1, "memory")):

        @contextlib.contextmanager
        def made(parent: Path, *, memory: int, processes: int, count: int = count) -> Iterator[Group]:
            with make_group(parent, memory=memory, processes=processes) as group:
                (group.folder / "memory.events").write_text(f"oom_kill {count}\n")
                monkeypatch.setattr(cgroup, "ENTER", 'echo 0 >"$0"; kill -9 $$')
                yield group

        with monkeypatch.context() as patch:
            patch.setattr(cgroup, "make_group", made)
            finished = sandbox.run([sys.executable, "-c", "pass"], workspace=tmp_path / "workspace")
        assert (finished.ended, finished.returncode, finished.starved) == (ended, None, "")


def real_parent() -> Path | None:
    """A folder of the kernel's in which groups can be made, with or without limits."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount = Path(line.split()[4])
        if " - cgroup2 " in line and os.access(mount, os.W_OK) and os.access(mount / "cgroup.procs", os.W_OK):
            return mount
    return None


@pytest.mark.skipif(sys.platform != "linux" or not real_parent(), reason="no cgroup v2 can be written to here")
def test_a_process_is_in_its_group_from_the_start_and_what_it_leaves_is_killed() -> None:
    parent = real_parent()
    assert parent is not None
    group = Group(Path(tempfile.mkdtemp(prefix="sft_ref.", dir=parent)))
    try:
        code = """
import os, subprocess, sys
print(open("/proc/self/cgroup").read(), flush=True)
subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
        ran = subprocess.run(
            group.command_in_group([sys.executable, "-c", code]), capture_output=True, text=True, check=True
        )
        assert f"/{group.folder.name}\n" in ran.stdout
        (left,) = map(int, (group.folder / "cgroup.procs").read_text().split())
        assert psutil.pid_exists(left)
    finally:
        group.remove()
    assert not group.folder.exists()
    time.sleep(0.1)
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
