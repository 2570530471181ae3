"""What all tests share: one trained toy adapter, quiet libraries, and a CUDA device for those that ask for one."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import sft_ref
from sft_ref import BaseLLM

settings.register_profile("sft_ref", deadline=None, derandomize=True)
settings.load_profile("sft_ref")


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option for CI, and one for GPU tests where there is no GPU."""
    parser.addoption("--part", action="store_true", help="every eighth of the tests that -m selects")
    parser.addoption("--cuda-dry-run", action="store_true", help="with -m gpu: each test up to its first CUDA call")


def pytest_configure(config: pytest.Config) -> None:
    """Adds the dry run where it is asked for."""
    if config.getoption("--cuda-dry-run"):
        import cuda_dry_run  # of tests/helpers

        cuda_dry_run.register(config)


@pytest.hookimpl(trylast=True)  # behind -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what is marked `gpu` where there is no CUDA; `nox -s gpu` says so before, or fails if told to."""
    if config.getoption("--part"):
        items[:] = items[::8]
    for item in items:
        if item.get_closest_marker("gpu") and not (torch.cuda.is_available() or config.getoption("--cuda-dry-run")):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def pytest_collection_finish() -> None:
    """What is imported by now is no garbage: Trainer searches it before each training, for half a second."""
    gc.freeze()


@pytest.fixture(scope="session")
def toy_adapter(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The toy, trained by the reference with its default settings; once for all processes of pytest-xdist."""
    temp = tmp_path_factory.getbasetemp()
    folder = (temp.parent if hasattr(request.config, "workerinput") else temp) / "toy_adapter"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            sft_ref.train(folder, base="toy")
    return folder


@pytest.fixture(scope="session")
def toy_llm(toy_adapter: Path) -> BaseLLM:
    """The trained toy, loaded; not to be changed."""
    return sft_ref.load(toy_adapter)


@pytest.fixture(scope="session")
def blank_toy() -> BaseLLM:
    """The toy as it is shipped, in fp32; not to be changed."""
    return BaseLLM("toy", torch_dtype="float32")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty hub cache, and the hub out of reach; gives the cache's folder."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"
