"""A submission that behaves as long as it is graded has no name of ours to know that by."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_ref.harness.grading.judge import grade_submission
from sft_ref.harness.isolation import sandbox
from sft_ref.harness.isolation.sandbox import Limits

from .attacks import package
from .test_attacks import Host, host

__all__ = ["host"]  # a fixture


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_name_that_a_submission_sees_tells_that_it_is_graded(host: Host, tmp_path: Path) -> None:
    if why_not := sandbox.why_not():
        pytest.skip(f"{why_not}: the host's files are visible without it")
    path = package("looks_for_hints")(tmp_path / "handed_in", host.target)
    verdict = grade_submission(path, "work", limits=Limits(seconds=60), only=["TRN-101"])
    (seen,) = [result.observed for result in verdict.results if result.check.id == "TRN-101"]
    assert seen.partition("hints:")[2].strip() == ""
    assert "hints:" in seen
