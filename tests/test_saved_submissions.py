"""Evidence of a submission is saved, loaded and judged again without the submission: the verdict is the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recorded import Capture, Change, Sections, observe, record

from sft_ref.errors import EvidenceError
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.evidence import Evidence, storage
from sft_ref.harness.grading.saved import grade_saved
from sft_ref.harness.report.files import as_json


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return record(tmp_path_factory.mktemp("capture") / "work")


def hide_answers(recorded: dict[str, Sections]) -> None:
    """All answers are lost behind prompts that the training texts do not have."""
    for row in recorded["ask"]["answers"]["generations"]:
        row["prompt_ids"] = row["prompt_ids"][:-2]
    recorded["ask"]["answers"]["values"] = ["nan"] * len(recorded["ask"]["answers"]["values"])


def unchanged(_: dict[str, Sections]) -> None:
    """Everything is as it was recorded."""


def without_seconds(verdict: Verdict) -> object:
    """What a verdict says, but for the time that it took."""
    results = tuple(dataclasses.replace(result, seconds=0.0) for result in verdict.results)
    return as_json(dataclasses.replace(verdict, seconds=0.0, results=results))


@pytest.mark.parametrize("change", [unchanged, hide_answers])
def test_the_verdict_from_a_file_is_the_verdict_from_memory(change: Change, capture: Capture, tmp_path: Path) -> None:
    evidence = observe(capture, change)
    storage.save(evidence, tmp_path / "it.safetensors")
    loaded = storage.load(tmp_path / "it.safetensors", Evidence)
    assert without_seconds(grade_saved(loaded, "it")) == without_seconds(grade_saved(evidence, "it"))
    assert (grade_saved(loaded, "it").status is Status.BROKEN) == (change is hide_answers)


def test_checks_leave_evidence_as_it_is(capture: Capture) -> None:
    evidence = observe(capture)
    first = without_seconds(grade_saved(evidence, "it"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        evidence.notes = ()  # type: ignore[misc]  # that is asked
    assert without_seconds(grade_saved(evidence, "it", only=["SCR-101"])) != first
    assert without_seconds(grade_saved(evidence, "it")) == first


def test_a_damaged_file_is_refused(capture: Capture, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    storage.save(observe(capture), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EvidenceError, match="cut short"):
        storage.load(path, Evidence)
