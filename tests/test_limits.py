"""What counts against a limit and what does not; `tests/attacks` has those who try to get past."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sft_ref.harness.isolation import file_count, memory, sandbox, seccomp
from sft_ref.harness.isolation.file_count import FileCount, count_files
from sft_ref.harness.isolation.processes import ProcessTimes
from sft_ref.harness.isolation.sandbox import CommandResult, Limits

isolated = pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not() or "never")
filtered = pytest.mark.skipif(bool(seccomp.why_not()), reason=seccomp.why_not() or "never")
SIZE = 150 * 2**20


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What was found out under a change of a test is forgotten."""
    yield
    seccomp.why_not.cache_clear()
    seccomp.build.cache_clear()


def run(code: str, workspace: Path, **options: Any) -> CommandResult:  # noqa: ANN401  # as `sandbox.run`
    return sandbox.run([sys.executable, "-c", code], workspace=workspace, **options)


@isolated
def test_files_in_memory_count_as_memory(tmp_path: Path) -> None:
    code = f"""
import time
for place in ("/tmp/held", "/dev/shm/held"):
    with open(place, "wb") as file:
        file.write(bytes({SIZE}))
time.sleep(2)
"""
    assert run(code, tmp_path, limits=Limits(memory=SIZE * 3 // 2)).ended == "memory"
    assert run(code, tmp_path, limits=Limits(memory=SIZE * 3)).ended == ""


@pytest.mark.parametrize(
    ("second_look", "exceeds"), [([(0, 0), (70, 60)], False), ([(70, 30), (70, 30)], True)], ids=["ended", "too much"]
)
def test_a_share_that_grows_as_a_process_ends_is_not_counted_twice(
    second_look: list[tuple[int, int]], exceeds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes map a file of 60 bytes; the first ends once it is read, and the second then holds all of it."""
    found = iter([(40, 30), (70, 60), *second_look])
    monkeypatch.setattr(memory, "_held", lambda process: 100)
    monkeypatch.setattr(memory, "_held_alone", lambda process: next(found))
    monkeypatch.setattr(memory, "_in_sockets", lambda processes: 0)
    monkeypatch.setattr(memory, "look_at_disks", lambda processes: memory.Disks(60))
    both: Any = [object(), object()]
    assert memory.exceeds(both, 90, sandboxed=True) is exceeds


@isolated
def test_files_in_memory_that_are_mapped_count_once(tmp_path: Path) -> None:
    code = f"""
import mmap, os, time
with open("/dev/shm/held", "w+b") as file:
    file.truncate({SIZE})
    shared = mmap.mmap(file.fileno(), {SIZE})
    shared[::4096] = b"x" * len(range(0, {SIZE}, 4096))
for _ in range(3):
    if not os.fork():
        shared[::4096]
        time.sleep(2)
        os._exit(0)
time.sleep(1)
"""
    assert run(code, tmp_path, limits=Limits(memory=SIZE * 3 // 2)).ended == ""
    assert run(code, tmp_path, limits=Limits(memory=SIZE)).ended == "memory"


@isolated
@pytest.mark.timeout(60)
def test_what_waits_in_connections_counts_as_memory(tmp_path: Path) -> None:
    code = """
import contextlib, socket, time
held, sent = [], 0
with socket.create_server(("127.0.0.1", 0)) as server:
    while sent < 2**29 and len(held) < 500:
        one = socket.create_connection(server.getsockname())
        held += [one, server.accept()[0]]
        for end in held[-2:]:
            end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += end.send(bytes(2**20))
time.sleep(2)
"""
    assert run(code, tmp_path, limits=Limits(memory=2**28)).ended == "memory"


def test_a_process_is_measured_by_a_thread_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    own = psutil.Process()
    whole = memory._held(own)
    assert own.memory_info().rss * 0.9 < whole < own.memory_info().rss * 1.1 + 2**23
    monkeypatch.setattr(memory, "_places", lambda process: iter(["/proc/none", f"/proc/{process.pid}"]))
    assert abs(memory._held(own) - whole) < 2**23


def test_without_proc_resident_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_places", lambda process: iter(["/proc/none"]))
    own = psutil.Process()
    resident = own.memory_info().rss
    assert memory.exceeds([own], resident // 2, sandboxed=True)
    assert not memory.exceeds([own], resident * 2, sandboxed=True)


def make_files(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).touch()


def test_files_and_folders_are_counted_to_the_limit(tmp_path: Path) -> None:
    make_files(tmp_path / "inner", 10)
    (tmp_path / "link").symlink_to(tmp_path)
    assert count_files(tmp_path, 100) == 12
    assert count_files(tmp_path, 11) == 12
    assert count_files(tmp_path, 5) == 6
    assert count_files(tmp_path / "gone", 5) == 0


def test_what_cannot_be_listed_counts_as_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert count_files(tmp_path, 5) == 6


@pytest.mark.parametrize("tells", [True, False], ids=["free inodes are told", "they are not"])
def test_new_files_count_and_those_of_others_do_not(
    tmp_path: Path, tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path / "before", 20)
    free = [1000]
    monkeypatch.setattr(file_count, "_free_inodes", lambda folder: free[0] if tells else None)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    count = FileCount(tmp_path, 10)
    assert not count.exceeds(lambda: 0)
    free[0] -= 500  # others' files
    now[0] += 10
    assert not count.exceeds(lambda: 0)
    make_files(tmp_path / "own", 5)
    free[0] -= 6
    now[0] += 10
    assert not count.exceeds(lambda: 0)
    make_files(tmp_path / "more", 5)
    free[0] -= 6
    now[0] += 10
    assert count.exceeds(lambda: 0)


def test_files_without_a_name_count_while_they_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1000]
    monkeypatch.setattr(file_count, "_free_inodes", lambda folder: free[0])
    count = FileCount(tmp_path, 10)
    free[0] -= 11
    assert count.exceeds(lambda: 11)


def test_a_count_without_inodes_rests_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def count_nothing(folder: Path, limit: int) -> int:
        counted.append(folder)
        return 0

    monkeypatch.setattr(file_count, "_free_inodes", lambda folder: None)
    monkeypatch.setattr(file_count, "count_files", count_nothing)
    count = FileCount(tmp_path, 10)
    for _ in range(100):
        count.exceeds(lambda: 0)
    assert len(counted) == 2  # before, and once since


def test_files_that_are_removed_again_do_not_count(tmp_path: Path) -> None:
    code = """
import os
for number in range(3000):
    open("file", "w").close()
    os.remove("file")
print("ends")
"""
    assert run(code, tmp_path, limits=Limits(files=100)).output == "ends\n"


@isolated
@filtered
def test_calls_that_are_filtered_look_as_if_the_kernel_lacked_them(tmp_path: Path) -> None:
    code = """
import ctypes, errno, os, socket
for call in (lambda: os.memfd_create("x"), lambda: socket.socket(38, socket.SOCK_SEQPACKET)):
    try:
        call()
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    assert run(code, tmp_path).output.split() == ["ENOSYS", "EAFNOSUPPORT"]


@isolated
def test_a_machine_without_libseccomp_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    for cached in (seccomp.build, seccomp.why_not):
        cached.cache_clear()
    assert "libseccomp is not installed" in seccomp.why_not()
    assert any("not filtered" in line for line in sandbox.gaps())
    assert run("print('runs')", tmp_path).output == "runs\n"


@isolated
def test_a_kernel_without_filters_runs_it_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "KERNEL_SIDE", tmp_path / "gone")
    seccomp.why_not.cache_clear()
    assert run("print('runs')", tmp_path).output == "runs\n"
    assert any("the kernel has no seccomp" in line for line in sandbox.gaps())


def test_what_the_kernel_does_not_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "")
    for why, told in (("none is delegated", 1), ("", 0)):
        monkeypatch.setattr("sft_ref.harness.isolation.cgroup.why_not", lambda why=why: why)
        assert sum("not enforced by the kernel" in line for line in sandbox.gaps()) == told
    monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
    assert sandbox.gaps() == ()


@filtered
def test_the_filter_does_without_names_that_an_older_library_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyseccomp

    seccomp.build.cache_clear()
    whole = seccomp.build()
    seccomp.build.cache_clear()
    known = pyseccomp.resolve_syscall
    monkeypatch.setattr(
        pyseccomp, "resolve_syscall", lambda arch, name: -1 if name in seccomp.NEWER else known(arch, name)
    )
    assert seccomp.build() == whole


def test_a_process_that_ends_while_it_is_looked_at_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanished(path: object) -> list[str]:
        raise FileNotFoundError(path)

    times, own = ProcessTimes(), psutil.Process()
    times.look([own])
    used = times.busiest
    monkeypatch.setattr(os, "listdir", vanished)
    monkeypatch.setattr(os, "scandir", vanished)
    times.look([own])
    assert times.busiest == used > 0
