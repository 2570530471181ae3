"""The dry run of GPU tests tells what reaches CUDA from what ends before."""

from __future__ import annotations

import pytest
import torch
from cuda_dry_run import CudaDryRun

pytest_plugins = ["pytester"]

TESTS = """
import pytest, torch

@pytest.fixture(scope="module")
def model():
    return torch.nn.Linear(1, 1).to("cuda")

def test_reaches(): torch.zeros(1, device="cuda")
def test_asks(): assert torch.cuda.get_device_capability()
def test_in_a_fixture(model): pass
def test_in_the_same_fixture(model): pass
def test_swallows():
    try:
        torch.cuda.synchronize()
    except Exception:
        pass
def test_skips(): pytest.skip("needs fp16")
def test_ends_before(): assert torch.cuda.is_available()
def test_cannot_import(): import no_such_module
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so nothing is dry")
def test_a_test_that_does_not_reach_cuda_fails_and_none_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    dry_run = CudaDryRun()
    done = pytester.inline_run("-p", "no:cacheprovider", plugins=[dry_run])
    passed, skipped, failed = done.listoutcomes()
    assert not passed
    assert len(skipped) == 6
    assert {report.nodeid.partition("::")[2] for report in failed} == {"test_ends_before", "test_cannot_import"}
    assert {each.partition("::")[2] for each in dry_run.reached} == {
        "test_reaches", "test_asks", "test_in_a_fixture", "test_in_the_same_fixture", "test_swallows",
    }  # fmt: skip
    assert not torch.cuda.is_available()
