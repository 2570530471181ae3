from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import sft_ref
from sft_ref.errors import SandboxError
from sft_ref.harness.isolation import bubblewrap, sandbox
from sft_ref.harness.isolation.sandbox import CommandResult, Limits

isolated = pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not() or "never")


@pytest.fixture(params=["sandboxed", "limits only"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With bubblewrap, and without; whether with."""
    if request.param == "limits only":
        monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
        return False
    if sandbox.why_not():
        pytest.skip(sandbox.why_not())
    return True


def run(code: str, workspace: Path, **options: Any) -> CommandResult:  # noqa: ANN401  # as `sandbox.run`
    return sandbox.run([sys.executable, "-c", code], workspace=workspace, **options)


def told(code: str, workspace: Path, **options: Any) -> Any:  # noqa: ANN401  # what the expression is inside
    finished = run(f"import json, os, sys\nprint(json.dumps({code}))", workspace, **options)
    assert finished.returncode == 0, finished.output
    return json.loads(finished.output)


def test_a_command_gives_its_exit_code_and_output(tmp_path: Path, either_way: bool) -> None:
    finished = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (finished.returncode, finished.ended, finished.sandboxed) == (3, "", either_way)
    assert sorted(finished.output.split()) == ["err", "out"]
    assert 0 < finished.seconds < 60


def test_a_signal_is_told_as_128_more(tmp_path: Path, either_way: bool) -> None:
    assert run("import os; os.kill(os.getpid(), 9)", tmp_path).returncode == 128 + signal.SIGKILL
    assert run("import os; os.abort()", tmp_path).returncode == 128 + signal.SIGABRT


def test_the_end_of_a_long_output_is_kept(tmp_path: Path, either_way: bool) -> None:
    finished = run("print('a' * 5000 + 'the end')", tmp_path, limits=Limits(output=1000))
    assert (finished.ended, len(finished.output), finished.output[-8:]) == ("", 1000, "the end\n")


def test_output_that_is_no_text_is_kept(tmp_path: Path, either_way: bool) -> None:
    assert run(r"import os; os.write(1, b'a\xff\x00b')", tmp_path).output == "a\ufffd\0b"


def test_input_is_handed_in_whole(tmp_path: Path, either_way: bool) -> None:
    assert told("len(sys.stdin.read())", tmp_path, stdin=b"x" * 10**6) == 10**6
    assert told("sys.stdin.read()", tmp_path) == ""


def test_the_environment_is_a_short_list(tmp_path: Path, either_way: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    seen = told("dict(os.environ)", tmp_path, environment={"HF_HUB_CACHE": "/hub"})
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert not {"SECRET_TOKEN", "PYTHONPATH"} & set(seen)
    assert (seen["OMP_NUM_THREADS"], seen["HF_HUB_OFFLINE"], seen["HF_HUB_CACHE"]) == ("1", "1", "/hub")
    assert seen["HOME"] != os.environ["HOME"]
    ours = {*sandbox.INHERITED, *sandbox.FIXED, "HOME", "TMPDIR", "PATH", "PYTHONUSERBASE", "HF_HUB_CACHE"}
    assert set(seen) <= ours | {"PWD", "LC_CTYPE"}


def test_a_command_starts_where_it_is_told(tmp_path: Path, either_way: bool) -> None:
    (tmp_path / "inner").mkdir()
    assert told("os.getcwd()", tmp_path) == str(tmp_path)
    assert told("os.getcwd()", tmp_path, cwd=tmp_path / "inner") == str(tmp_path / "inner")


def test_only_the_three_streams_are_open(tmp_path: Path, either_way: bool) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003
        assert told("sorted(map(int, os.listdir('/proc/self/fd')))[:-1]", tmp_path) == [0, 1, 2]


@isolated
def test_what_is_readable_is_not_writable_and_the_rest_not_there(tmp_path: Path) -> None:
    for name in ("workspace", "readable", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    code = f"""
from pathlib import Path
for name in ("workspace", "readable", "hidden"):
    place = Path({str(tmp_path)!r}, name)
    print(name, place.exists() and (place / "file").read_text())
    for target in (place / "file", place / "new"):
        try:
            target.write_text("changed")
        except OSError as error:
            print(type(error).__name__)
"""
    finished = run(code, tmp_path / "workspace", readable=[tmp_path / "readable"])
    assert finished.output.split() == [
        *("workspace", "workspace"),
        *("readable", "readable", "OSError", "OSError"),
        *("hidden", "False", "FileNotFoundError", "FileNotFoundError"),
    ]
    assert (tmp_path / "workspace" / "file").read_text() == (tmp_path / "workspace" / "new").read_text() == "changed"
    assert (tmp_path / "readable" / "file").read_text() == "readable"


@isolated
def test_our_source_and_home_and_temporary_files_are_not_there(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile() as file:
        places = [
            sft_ref.__file__,
            __file__,
            file.name,
            "/etc/passwd",
            "/etc/shadow",
            "/run",
            "/var",
            "/proc/1/root/var",
        ]
        assert told(f"[os.path.exists(path) for path in {places!r}]", tmp_path) == [False] * len(places)


@isolated
def test_it_is_nobody_in_a_world_of_its_own(tmp_path: Path) -> None:
    status = told("dict(line.split(':', 1) for line in open('/proc/self/status'))", tmp_path)
    assert {int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    assert told("os.getuid()", tmp_path) != 0
    assert told("[name for name in os.listdir('/proc') if name.isdigit()]", tmp_path) == ["1", "2"]
    assert told("[line.split(':')[0].strip() for line in open('/proc/net/dev')][2:]", tmp_path) == ["lo"]
    assert told("os.uname().nodename", tmp_path) == "localhost"
    for kind in ("pid", "net", "ipc", "uts", "user", "mnt"):
        assert told(f"os.readlink('/proc/self/ns/{kind}')", tmp_path) != str(Path(f"/proc/self/ns/{kind}").readlink())


@isolated
def test_nothing_of_the_system_can_be_written(tmp_path: Path) -> None:
    """Opened only. The kernel's settings matter most: root could set them from within any namespace."""
    code = """
import os, stat
for top in ("/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/lib"):
    for folder, folders, files in os.walk(top):
        if folder == "/proc":
            folders[:] = [name for name in folders if not name.isdigit()]
        for name in files:
            place = os.path.join(folder, name)
            try:
                if not os.path.islink(place) and not stat.S_ISCHR(os.lstat(place).st_mode):
                    os.close(os.open(place, os.O_WRONLY | os.O_NONBLOCK))
                    print(place)
            except OSError:
                pass
        try:
            place = os.path.join(folder, "planted")
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT))
            print(place)
        except OSError:
            pass
"""
    assert run(code, tmp_path).output.split() == ["/dev/shm/planted"]  # noqa: S108  # its own, in memory


@isolated
def test_nothing_is_kept_in_temporary_folders_between_runs(tmp_path: Path) -> None:
    assert run("open('/tmp/kept', 'w'); open('/dev/shm/kept', 'w')", tmp_path).returncode == 0
    assert told("[os.path.exists(path) for path in ('/tmp/kept', '/dev/shm/kept')]", tmp_path) == [False, False]
    assert not Path("/tmp/kept").exists()  # noqa: S108


def test_a_command_ends_with_the_judge(tmp_path: Path, either_way: bool) -> None:
    mark = f"sft_ref.{os.getpid()}.{time.time()}"
    judge = f"""
import sys
from pathlib import Path
from sft_ref.harness.isolation import sandbox
sandbox.why_not = lambda: {"" if either_way else "left out by the test"!r}
sandbox.run([sys.executable, "-c", "import time; time.sleep(30)", {mark!r}], workspace=Path({str(tmp_path)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", judge], cwd=Path(sft_ref.__file__).parents[1]) as running:
        assert waited(lambda: len(those_with(mark)) >= 2)
        running.kill()
    assert waited(lambda: not those_with(mark))


@pytest.mark.parametrize("folder", ["workspace", "a_long_name_" * 10])
def test_torch_and_its_workers_run(folder: str, tmp_path: Path, either_way: bool) -> None:
    """A socket's path has a limit of about 100 bytes, and the workers of a data loader open sockets."""
    workspace = tmp_path / folder
    workspace.mkdir()
    code = """
import torch
if __name__ == "__main__":
    rows = torch.arange(8.0).reshape(8, 1)
    for batch in torch.utils.data.DataLoader(rows, batch_size=4, num_workers=2):
        model = torch.nn.Linear(1, 1)
        model(batch).sum().backward()
        print(batch.tolist())
"""
    finished = run(code, workspace, limits=Limits(seconds=120))
    assert finished.output.count("[[") == 2, finished.output


def test_runs_at_once_do_not_disturb_one_another(tmp_path: Path, either_way: bool) -> None:
    def one(number: int) -> CommandResult:
        (tmp_path / str(number)).mkdir()
        code = f"import os, time\nos.fork()\nprint({number}, flush=True)\ntime.sleep(0.3 * {number})"
        return run(code, tmp_path / str(number))

    with ThreadPoolExecutor(4) as pool:
        for number, finished in enumerate(pool.map(one, range(4))):
            assert (finished.returncode, set(finished.output) - {"\n"}) == (0, {str(number)})


def test_another_python_runs_it_by_its_link(tmp_path: Path, either_way: bool) -> None:
    for name in ("there", "workspace"):
        (tmp_path / name).mkdir()
    venv.create(tmp_path / "there" / "venv", symlinks=True)
    (tmp_path / "python").symlink_to(tmp_path / "there" / "venv" / "bin" / "python")
    asked = [str(tmp_path / "there" / "venv" / "bin" / "python"), "-c", "import sys; print(sys.prefix)"]
    finished = sandbox.run(asked, workspace=tmp_path / "workspace")
    assert finished.output.strip() == str(tmp_path / "there" / "venv")
    linked = sandbox.run([str(tmp_path / "python"), "-c", "print('runs')"], workspace=tmp_path / "workspace")
    assert linked.output == "runs\n"


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false", "/bin/echo"])
def test_what_is_no_python_is_refused(tmp_path: Path, python: str) -> None:
    with pytest.raises(SandboxError, match="is not a Python that runs here") as raised:
        sandbox.run([python, "-c", "pass"], workspace=tmp_path)
    assert "\n" not in str(raised.value)


def test_paths_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "workspace" / "inner").mkdir(parents=True)
    with pytest.raises(SandboxError, match="is missing"):
        run("", tmp_path / "nowhere")
    with pytest.raises(SandboxError, match="is missing"):
        run("", tmp_path / "workspace", readable=[tmp_path / "nowhere"])
    with pytest.raises(SandboxError, match="is inside the scratch folder"):
        run("", tmp_path / "workspace", readable=[tmp_path / "workspace" / "inner"])


def test_an_interpreter_is_found_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert bubblewrap.interpreter("bin/python").executable.is_absolute()


@pytest.mark.parametrize("said", ["{}", "[]", '{"executable": 1, "paths": [], "userbase": ""}'])
def test_a_program_that_is_no_interpreter_is_refused_whatever_it_prints(said: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    with pytest.raises(SandboxError, match="is not a Python that runs here"):
        bubblewrap.interpreter(str(program))


def test_a_machine_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "not installed" in sandbox.why_not.__wrapped__()


def test_a_bubblewrap_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied'; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.interpreter(sys.executable)
    assert sandbox.why_not.__wrapped__().endswith("does not run here: bwrap: setting up uid map: Permission denied")


LOOP = "while True: pass"


@pytest.fixture
def one_busy_core() -> Iterator[None]:
    """All on one core, together with eight processes that never rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    hogs = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(8)]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()
    os.sched_setaffinity(0, before)


def test_what_loops_and_what_sleeps_uses_up_its_own_time(tmp_path: Path, either_way: bool) -> None:
    loops = run(LOOP, tmp_path, limits=Limits(seconds=1))
    sleeps = run("import time; time.sleep(60)", tmp_path, limits=Limits(seconds=1))
    assert (loops.ended, loops.starved, sleeps.ended, sleeps.starved) == ("time", "", "time", "")
    assert sleeps.processor < 0.5


def test_what_is_starved_is_charged_only_what_it_gets(tmp_path: Path, either_way: bool, one_busy_core: None) -> None:
    code = "import time\nwhile time.thread_time() < 3: pass\nprint('done')"
    finished = run(code, tmp_path, limits=Limits(seconds=4.5))
    assert (finished.ended, finished.output) == ("", "done\n")
    assert finished.seconds > 4.5  # it has half of the core, or a ninth: some kernels share by session


def test_what_is_starved_to_the_end_is_the_machines_fault(
    tmp_path: Path, either_way: bool, one_busy_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Limits, "wall", 3.0)
    finished = run(LOOP, tmp_path, limits=Limits(seconds=2.5))
    assert (finished.ended, finished.returncode) == ("machine", None)
    assert "too busy" in finished.starved


def test_what_the_machine_kills_for_want_of_memory_is_told_from_what_kills_itself(
    tmp_path: Path, either_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    assert run(code, tmp_path).starved == ""
    counts = iter((3, 4))
    monkeypatch.setattr(sandbox, "count_memory_kills", lambda: next(counts))
    assert "out of memory" in run(code, tmp_path).starved


def test_a_lie_about_its_end_is_harmless(tmp_path: Path, either_way: bool) -> None:
    code = """
import os
for number in range(3, 100):
    for text in ('{"exit-code": "x"}\\n', '{"exit-code"', '"exit-code": 99999999999\\n', "x" * 100000):
        try:
            with open(f"/proc/{os.getppid()}/fd/{number}", "w") as file:
                file.write(text)
        except OSError:
            pass
print("ends")
"""
    finished = run(code, tmp_path)
    assert (finished.returncode, finished.output) == (0, "ends\n")


def those_with(mark: str) -> list[psutil.Process]:
    """Processes of the command, the judge left out."""
    running = psutil.process_iter(["cmdline"])
    return [process for process in running if mark in (process.info["cmdline"] or [])]


def waited(happens: Any) -> bool:  # noqa: ANN401
    end = time.monotonic() + 20
    while not happens() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(happens())
