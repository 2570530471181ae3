"""What foreign code leaves on disk is read, written to and removed by the judge: nothing of the host is in reach so."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.judge import grade_submission
from sft_ref.harness.isolation import sandbox
from sft_ref.harness.isolation.sandbox import Limits

from .attacks import package
from .test_attacks import Host, host

__all__ = ["host"]  # a fixture

TIME = 120
"""Seconds within which each is graded on an idle machine; the judge's own share is some seconds."""


def grade(name: str, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """Grades an attack, and looks at the host and at scratch folders afterwards."""
    if why_not := sandbox.why_not():
        pytest.skip(f"{why_not}: the host's files can be reached without it")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (host.folder / "ask").mkdir()  # a name that the judge uses
    (host.folder / "ask" / "precious").touch()
    path = package(name)(tmp_path / "handed_in", host.target)
    began = time.process_time()
    verdict = grade_submission(path, name, limits=Limits(seconds=60))
    assert time.process_time() - began < TIME
    assert not host.harm()
    left = {path.name for path in host.folder.iterdir()}
    assert left == {"secret", "victim", "outside", "ask", "handed_in", "scratch"}
    assert (host.folder / "ask" / "precious").exists()
    assert not [path for path in scratch.iterdir() if not path.name.startswith("torchinductor")]  # torch's own
    return verdict


@pytest.mark.timeout(600)
def test_a_folder_of_the_host_is_neither_emptied_nor_written_to(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = grade("links_its_output_to_the_host", host, tmp_path, monkeypatch)
    assert verdict.status is Status.BROKEN


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_litter_is_a_line_in_the_report(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = grade("litters_its_folders", host, tmp_path, monkeypatch)
    assert verdict.status is Status.BROKEN
    lines = "\n".join(verdict.notes)
    for reason in ("links", "pipes, sockets or devices", "more entries", "files beyond"):
        assert reason in lines
