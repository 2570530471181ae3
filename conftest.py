"""Setup of all tests: fixtures such as one trained toy adapter, pytest options, and the skipping of GPU tests."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import sft_ref
from sft_ref import BaseLLM, Settings
from sft_ref.harness.core.grade import Grade
from sft_ref.harness.grading import worker
from sft_ref.harness.grading.worker import GradeOne, grade_or_reason

settings.register_profile("sft_ref", deadline=None, derandomize=True)
settings.load_profile("sft_ref")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option for CI, and one for GPU tests on a machine without a GPU."""
    parser.addoption("--part", type=int, default=1, metavar="N", help="one in N of the tests that -m selects")
    parser.addoption("--cuda-dry-run", action="store_true", help="with -m gpu: each test up to its first CUDA call")


def pytest_configure(config: pytest.Config) -> None:
    """Hides CUDA from tests that do not need it, in this process and its children; registers the dry run."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read at the first CUDA call
    if config.getoption("--cuda-dry-run"):
        import cuda_dry_run  # in tests/helpers

        cuda_dry_run.register(config)


@pytest.hookimpl(optionalhook=True)  # pytest-benchmark's
def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Adds the GPU, if the benchmarks use one."""
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""


@pytest.hookimpl(trylast=True)  # after -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` without a CUDA device or `-m gpu`; `nox -s gpu` reports a missing one, or fails."""
    items[:] = items[:: config.getoption("--part")]
    for item in items:
        if item.get_closest_marker("gpu") and not (torch.cuda.is_available() or config.getoption("--cuda-dry-run")):
            item.add_marker(pytest.mark.skip(reason="no CUDA device, or not selected by -m gpu"))


def pytest_collection_finish() -> None:
    """Exempts all imports so far from garbage collection: Trainer would search them for half a second per training."""
    gc.freeze()


@pytest.fixture(scope="session")
def toy_adapter(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Folder of the toy, trained once for all pytest-xdist processes, with as many steps as `sft-ref demo` takes."""
    temp = tmp_path_factory.getbasetemp()
    folder = (temp.parent if hasattr(request.config, "workerinput") else temp) / "toy_adapter"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            sft_ref.train(folder, base="toy", settings=Settings(steps=60))
    return folder


@pytest.fixture(scope="session")
def toy_llm(toy_adapter: Path) -> BaseLLM:
    """The trained toy, loaded; tests must not change it."""
    return sft_ref.load(toy_adapter)


@pytest.fixture(scope="session")
def blank_toy() -> BaseLLM:
    """The toy as it is shipped, in fp32; tests must not change it."""
    return BaseLLM("toy", torch_dtype="float32")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs here what a command runs in a process with limits, which takes seconds to import everything again."""

    def grade_here(target: str, grade_one: GradeOne, report: Callable[[str], None], _seconds: float) -> Grade:
        return grade_or_reason(functools.partial(grade_one, report=report), target)

    monkeypatch.setattr(worker, "grade_alone", grade_here)
    monkeypatch.setattr(worker, "run_alone", lambda function, *arguments, **_limits: function(*arguments))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Sets an empty hub cache and takes the hub offline; returns the cache's folder."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"
