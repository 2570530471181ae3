"""An implementation is recorded part by part, in one order, and what is recorded only has to be read."""

from __future__ import annotations

import dataclasses
import inspect
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from sft_ref import BaseLLM
from sft_ref.errors import MachineError
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import run
from sft_ref.harness.core.check import Check, Outcome, check
from sft_ref.harness.core.findings import Failure, NotRecorded, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.evidence.in_process.answer_parts import LastOutput
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.recorders.in_process import recorder as recorder_module
from sft_ref.harness.recorders.in_process.recorder import RECORDINGS, Recorder
from sft_ref.harness.recorders.in_process.recordings import generated
from sft_ref.harness.recorders.in_process.reference import Reference

GIVEN = {"implementation", "folder", "given_training", "reference_run_source", "limits", "task", "probes", "settings"}
FIELDS = {each.name for each in dataclasses.fields(ImplementationEvidence)}


def declare(id: str, run: Callable[..., str | None], *after: str) -> Check:  # noqa: A002
    return check(id, "a statement", why="a reason", remedy="a cure", depends_on=after)(run)


def test_each_recording_is_made_from_parts_that_come_before_it() -> None:
    known = set(GIVEN)
    for make in RECORDINGS:
        assert make.__name__ not in known
        assert inspect.signature(make).parameters.keys() <= known, make.__name__
        known.add(make.__name__)


def test_each_part_of_the_evidence_is_recorded_and_each_is_read_by_a_check() -> None:
    assert GIVEN | {make.__name__ for make in RECORDINGS} >= FIELDS
    assert {name for each in CHECKS for name in each.needs} == FIELDS


def test_each_check_names_the_parts_that_it_reads() -> None:
    assert [each.id for each in CHECKS if not each.needs] == []


def test_evidence_cannot_be_changed(tmp_path: Path) -> None:
    evidence = Recorder(Reference(), tmp_path).record([])
    with pytest.raises(dataclasses.FrozenInstanceError):
        evidence.batch = None  # type: ignore[misc]


def test_only_what_is_needed_is_recorded_and_once(tmp_path: Path) -> None:
    with mock.patch.object(Reference, "training_batch", autospec=True, side_effect=Reference.training_batch) as batch:
        recorder = Recorder(Reference(), tmp_path)
        evidence = recorder.record(["examples"])
        assert recorder.record(["batch", "labelled_rows"]).examples is evidence.examples
    assert batch.call_count == 1
    assert (evidence.trained, evidence.prompts, evidence.labelled_rows) == (None, None, None)


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., Any]) -> None:
    """Another recording in the place of one, with the same needs."""
    instead.__name__ = name
    recordings = tuple(instead if each.__name__ == name else each for each in RECORDINGS)
    monkeypatch.setattr(recorder_module, "RECORDINGS", recordings)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Failure(1, 2), Outcome.FAIL),
        (Unavailable("no CUDA device"), Outcome.SKIPPED),
        (IndexError("the recorder's own"), Outcome.ERROR),
        (SystemExit(0), Outcome.ERROR),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_checks_end_with_what_recording_their_part_ended_with(
    error: BaseException, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, "batch", mock.Mock(side_effect=error))
    evidence = Recorder(Reference(), tmp_path).record(["examples"])
    assert isinstance(evidence.examples, NotRecorded)
    [result] = run([declare("TOK-001", lambda examples: None)], evidence)
    assert result.outcome is outcome


@pytest.mark.parametrize("error", [MachineError("no memory"), KeyboardInterrupt()])
def test_what_ends_the_grading_ends_the_recording(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, "batch", mock.Mock(side_effect=error))
    with pytest.raises(type(error)):
        Recorder(Reference(), tmp_path).record(["examples"])


def test_each_part_starts_from_the_same_random_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, "batch", lambda implementation, task: random.random())
    drawn = [Recorder(Reference(), tmp_path).record(["batch"]).batch for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("id", "outcome"), [("TOK-001", Outcome.BLOCKED), ("LOD-001", Outcome.FAIL)])
def test_a_failure_to_load_blocks_checks_of_earlier_stages(id: str, outcome: Outcome, tmp_path: Path) -> None:  # noqa: A002
    recorder = Recorder(Reference(), tmp_path, trained=TrainingResult(tmp_path / "nowhere", {}, ()))
    [result] = run_in_stages([declare(id, lambda tokenizer: None)], recorder)
    assert result.outcome is outcome


def test_reading_evidence_calls_only_the_parser_and_the_tokenizer(blank_toy: BaseLLM, tmp_path: Path) -> None:
    class Given(Reference):
        def load(self, folder: Path) -> Any:  # noqa: ANN401
            return blank_toy

    stages = ("prompt", "tokens", "generate", "parse", "score")
    checks = [each for each in CHECKS if each.stage in stages]
    implementation = Given()
    recorder = Recorder(implementation, tmp_path, trained=TrainingResult(tmp_path / "nowhere", {}, ()))
    evidence = recorder.record(name for each in checks for name in each.needs if name != "changes_by_answering")
    called = AssertionError("called while evidence was read")
    with (
        mock.patch.object(blank_toy, "answer", side_effect=called),
        mock.patch.object(blank_toy, "batched_generate", side_effect=called),
        mock.patch.object(blank_toy.model, "forward", side_effect=called),
        mock.patch.object(Reference, "training_batch", side_effect=called),
        mock.patch.object(Reference, "train", side_effect=called),
        mock.patch.object(Given, "load", side_effect=called),
        mock.patch.object(Reference, "test", side_effect=called),
    ):
        results = [*run(checks, evidence)]
    assert not any("called while" in result.observed for result in results)
    assert {result.outcome for result in results} <= {Outcome.PASS, Outcome.SKIPPED, Outcome.BLOCKED, Outcome.FAIL}
    assert sum(result.outcome is Outcome.PASS for result in results) > len(checks) / 2


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 2)])
def test_rows_that_are_not_finite_are_counted_whatever_shape_an_output_has(shape: tuple[int, ...]) -> None:
    output = torch.ones(shape)
    output[1] = math.nan
    assert generated.last_output("norm", output).not_finite == 1
    assert generated.last_output("norm", torch.full(shape, -2.0)) == LastOutput("norm", torch.float32, 0, 3, 2.0)
