from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

import sft_ref
from sft_ref.errors import SftRefError, SubmissionError
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.grading.judge import grade_submission
from sft_ref.harness.isolation import sandbox, seccomp
from sft_ref.harness.isolation.sandbox import CommandResult, Limits
from sft_ref.harness.isolation.unpack import unpack

from .attacks import ATTACKS, CALLS, Attack, Target

LIMITS = Limits(seconds=5, memory=2**29, processes=64, file_size=2**26, output=2**16, files=2000, disk=2**27)
SECRET = "correct horse battery staple"
TRAIN = [sys.executable, "-c", "from homework.sft import train_model; train_model(output_dir='homework/sft_model')"]
PACKAGES = [attack for attack in ATTACKS if not attack.refused]
LIMITED = [attack for attack in PACKAGES if attack.stopped_by and not attack.needs_sandbox]
named = pytest.mark.parametrize("attack", PACKAGES, ids=lambda attack: attack.name)


@dataclass
class Host:
    """What must come through unharmed, and who watches it."""

    folder: Path
    victim: subprocess.Popen[bytes]
    listeners: tuple[socket.socket, ...]
    target: Target

    def harm(self) -> list[str]:
        """What has happened to it."""
        checks = {
            "the judge's process was signalled or stopped": self.victim.poll() is not None
            or psutil.Process(self.victim.pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP},
            "the judge's file was changed": not (self.folder / "victim").is_file()
            or (self.folder / "victim").read_text() != "results",
            "a file was planted": any((self.folder / "outside").iterdir()),
            "something arrived over the network": bool(select.select(self.listeners, [], [], 0.1)[0]),
            "processes are left": bool(self.left()),
        }
        return [what for what, happened in checks.items() if happened]

    def left(self) -> list[psutil.Process]:
        """Processes of the submission that run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if TRAIN[2] in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("SFT_REF_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "victim").write_text("results")
    (tmp_path / "outside").mkdir()
    abstract = f"sft_ref.{os.getpid()}"
    tcp, udp, local = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
    sleeping = [sys.executable, "-c", "import time; time.sleep(100)"]
    with tcp, udp, local, subprocess.Popen(sleeping, start_new_session=True) as victim:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(tcp.getsockname())
        local.bind("\0" + abstract)
        local.listen()
        target = Target(
            secret=str(tmp_path / "secret"),
            victim=str(tmp_path / "victim"),
            outside=str(tmp_path / "outside"),
            pid=str(victim.pid),
            port=str(tcp.getsockname()[1]),
            abstract=abstract,
            sandboxed="" if sandbox.why_not() else "yes",
        )
        yield Host(tmp_path, victim, (tcp, udp, local), target)
        victim.kill()
    # folders may be nested so deep that Python cannot remove them, nor can pytest
    subprocess.run(["rm", "-rf", "--", tmp_path / "workspace"], check=True)  # noqa: S607


def train(attack: Attack, host: Host, limits: Limits = LIMITS) -> tuple[CommandResult, Path]:
    """The attack's training, in a workspace that was unpacked from what it handed in."""
    handed_in = host.folder / "handed_in"
    handed_in.mkdir()
    workspace = unpack(attack.build(handed_in, host.target), host.folder / "workspace")
    return sandbox.run(TRAIN, workspace=workspace, limits=limits), workspace


@named
def test_an_attack_does_no_harm(attack: Attack, host: Host) -> None:
    if attack.needs_sandbox and sandbox.why_not():
        pytest.skip(f"{sandbox.why_not()}: {attack.needs_sandbox}")
    finished, workspace = train(attack, host)
    assert not host.harm(), finished
    assert "HARM" not in finished.output
    assert SECRET not in finished.output
    assert finished.ended == attack.stopped_by
    assert (finished.returncode is None) == bool(attack.stopped_by)
    assert finished.processor < LIMITS.seconds + 3
    assert finished.seconds < LIMITS.wall
    assert len(finished.output) <= LIMITS.output
    after = sandbox.run([sys.executable, "-c", "print('well')"], workspace=workspace, limits=LIMITS)
    assert (after.returncode, after.output, after.ended) == (0, "well\n", "")


@pytest.mark.parametrize("attack", LIMITED, ids=lambda attack: attack.name)
def test_limits_hold_without_a_sandbox(attack: Attack, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
    finished, _ = train(attack, host)
    assert (finished.ended, finished.returncode, finished.sandboxed) == (attack.stopped_by, None, False)
    assert not host.harm()


def test_a_daemon_is_gone_without_a_sandbox(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
    finished, workspace = train(by_name("leaves_a_daemon"), host)
    assert finished.returncode == 0
    beat = (workspace / "heartbeat").read_text()
    time.sleep(0.3)
    assert (workspace / "heartbeat").read_text() == beat
    assert not host.harm()


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("calls_out", "something arrived over the network"),
        ("writes_outside", "the judge's file was changed"),
        ("signals_the_judge", "the judge's process was signalled or stopped"),
    ],
)
def test_the_harm_would_be_seen(name: str, harm: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sandbox these attacks succeed against what the test has planted: their failure above says something."""
    monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
    train(by_name(name), unsandboxed(host))
    assert harm in host.harm()


@pytest.mark.skipif(bool(sandbox.why_not() or seccomp.why_not()), reason="there is no filter to leave out here")
@pytest.mark.parametrize("name", [attack.name for attack in PACKAGES if attack.needs_sandbox == CALLS])
def test_without_its_filter_the_harm_would_be_seen(name: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "why_not", lambda: "left out by the test")
    finished, _ = train(by_name(name), host)
    assert "HARM" in finished.output


def test_a_secret_would_be_seen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "left out by the test")
    finished, _ = train(by_name("reads_secrets"), unsandboxed(host))
    assert SECRET in finished.output


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.refused], ids=lambda a: a.name)
def test_a_zip_that_attacks_is_refused(attack: Attack, host: Host) -> None:
    handed_in = host.folder / "handed_in"
    handed_in.mkdir()
    with pytest.raises(SubmissionError, match=attack.refused):
        unpack(attack.build(handed_in, host.target), host.folder / "workspace")
    assert not host.harm()
    assert not (host.folder / "workspace").exists()


@pytest.mark.parametrize("name", ["hides_a_pickle_in_the_adapter", "zip_with_a_pickle"])
def test_a_pickle_is_refused_and_not_run(name: str, host: Host) -> None:
    _, workspace = train(by_name(name), host)
    assert (workspace / "homework" / "sft_model" / "adapter_model.bin").is_file()
    with pytest.raises(SftRefError):
        sft_ref.load(workspace / "homework" / "sft_model")
    assert not host.harm()


def test_a_link_among_the_results_is_not_followed(host: Host) -> None:
    _, workspace = train(by_name("links_its_result_to_the_judge"), host)
    assert (workspace / "results.json").is_symlink()
    with pytest.raises(SubmissionError, match="link"):
        unpack(workspace, host.folder / "copied")


def by_name(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


def unsandboxed(host: Host) -> Host:
    """The same with a target that forbids attacks on the system."""
    return replace(host, target=replace(host.target, sandboxed=""))


EARNING = (
    *("exits_hard_in_training", "prints_a_forged_verdict", "writes_forged_results", "patches_libraries"),
    "walks_to_the_judge",
)
"""Those that go for the verdict."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", EARNING)
def test_an_attack_earns_nothing(name: str, host: Host, tmp_path: Path) -> None:
    attack = next(each for each in ATTACKS if each.name == name)
    if attack.needs_sandbox and sandbox.why_not():
        pytest.skip(f"{sandbox.why_not()}: {attack.needs_sandbox}")
    path = attack.build(tmp_path / "handed_in", host.target)
    verdict = grade_submission(path, attack.name, limits=Limits(seconds=30))
    assert verdict.status is Status.BROKEN
    assert not host.harm()
