"""A pytest plugin that runs GPU tests without a GPU, up to the first call that needs one (`pytest --cuda-dry-run`).

It shows that each test is collected, imports its dependencies and reaches CUDA. Nothing runs on a GPU, and no test
passes: a test that reaches CUDA is reported as skipped, and a test that ends before is a failure.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NoReturn
from unittest import mock

import pytest
import torch
from _pytest.outcomes import Skipped

REACHED = "dry run: reached its first CUDA call, and nothing of it ran on a GPU"


class FirstCudaCall(Skipped):
    """Raised instead of the first call that needs a CUDA device; no `except Exception` catches it."""


def _raise() -> NoReturn:
    raise FirstCudaCall(REACHED)


class CudaDryRun:
    """Pretends that there is a CUDA device until it is used.

    Attributes:
        reached: tests that reached their first CUDA call.
        ended_before: tests that passed without a CUDA call.
        skipped: tests that skip themselves, as they do on a machine with a GPU.
    """

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.ended_before: set[str] = set()
        self.skipped: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Makes CUDA seem available while the tests run; every use of CUDA begins with `_lazy_init`."""
        available, count = (mock.patch(f"torch.cuda.{name}") for name in ("is_available", "device_count"))
        with available as is_available, count as device_count, mock.patch("torch.cuda._lazy_init", _raise):
            is_available.return_value, device_count.return_value = True, 1
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Counts a test that reached CUDA, and fails a test that ended before."""
        report = yield
        if call.excinfo is not None and call.excinfo.errisinstance(FirstCudaCall):
            self.reached.add(item.nodeid)
        elif report.skipped:
            self.skipped.add(item.nodeid)
        elif call.when == "call" and report.passed:
            self.ended_before.add(item.nodeid)
            report.outcome = "failed"
            report.longrepr = "dry run: the test ended without a CUDA call; is it marked gpu by mistake?"
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the numbers of tests, and that nothing ran on a GPU."""
        reached, others = len(self.reached), len(self.skipped)
        text = f"dry run: {reached} tests reached their first CUDA call, {others} skip themselves; nothing ran on a GPU"
        terminalreporter.write_line(text)


def register(config: pytest.Config) -> None:
    """Adds the dry run to this run of pytest.

    Raises:
        pytest.UsageError: there is a GPU, so that the tests themselves can run.
    """
    if torch.cuda.is_available():
        raise pytest.UsageError("--cuda-dry-run: there is a CUDA device; run the tests themselves")
    config.pluginmanager.register(CudaDryRun(), "cuda-dry-run")
