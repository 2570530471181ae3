"""Whatever is missing of what a submission's processes wrote, no check breaks, and what was not seen is not decided."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import Capture, Change, Sections, grade, record

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.recorders.submission.recording import Recording

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return record(tmp_path_factory.mktemp("capture") / "work")


def broke(verdict: Verdict) -> dict[str, str]:
    return {result.check.id: result.observed for result in verdict.results if result.outcome is Outcome.ERROR}


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {result.check.id: result.outcome for result in verdict.results}


def test_the_capture_itself_is_examined(capture: Capture) -> None:
    found = outcomes(grade(capture))
    assert {found[name] for name in ("PRM-101", "TOK-102", "ART-004", "LOD-003", "GEN-007", "PRS-001")} == {"pass"}


TRAINING_LOG = (
    *("examples", "forward_passes", "optimizer_steps", "has_labels", "optimizer", "dtype_counts"),
    "changed_base_weights",
)
ASKED = ("load", "answers", "probes", "parse", "score", "other_folder", "script_0")
PATHS = [
    *(("train", "training_log", key) for key in TRAINING_LOG),
    *(("ask", "load", key) for key in ("adapter_folders", "dtype_counts", "tokenizer_size")),
    *(("ask", "answers", key) for key in ("values", "parsed_texts", "generations")),
    *(("ask", f"script_{number}", key) for number in range(4) for key in ("values", "parsed_texts", "generations")),
    *(("ask", "probes", key) for key in ("max_difference", "dtype_counts")),
    *(("ask", "score", key) for key in ("metrics", "output", "answers")),
    ("ask", "parse", "values"),
    *((command, section, None) for command in ("train", "ask") for section in ("pretrained", "end")),
    *(("ask", section, None) for section in ASKED),
    ("train", "training_log", None),
]


@st.composite
def cuts(draw: st.DrawFn) -> Change:
    """Some of the sections and their parts missing, empty, halved, one row, or not a number."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 4)), min_size=1, max_size=4))

    def cut(recorded: dict[str, Sections]) -> None:
        for (command, section, key), how in chosen:
            if key is None:
                recorded[command].pop(section, None)
            elif key in recorded[command].get(section, {}):
                recorded[command][section][key] = _less(recorded[command][section][key], how)

    cut.__name__ = str(chosen)
    return cut


def _less(value: Any, how: int) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _less(each, how) for name, each in value.items()} if how else {}
    if isinstance(value, list):
        return (
            value[: len(value) // 2],
            [],
            value[:1],
            [math.nan if isinstance(each, float) else each for each in value],
            value[::-1],
        )[how]
    return (0, None, "nan", math.nan, value)[how]


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=cuts())
def test_no_check_breaks_on_what_is_missing(capture: Capture, cut: Change) -> None:
    assert broke(grade(capture, cut)) == {}


def drop(*path: str) -> Change:
    """Without one section, or one part of it."""

    def cut(recorded: dict[str, Sections]) -> None:
        command, section, *key = path
        if key:
            recorded[command][section][key[0]] = []
        else:
            del recorded[command][section]

    return cut


@pytest.mark.parametrize(
    ("cut", "ids"),
    [
        (drop("train", "training_log", "examples"), ("TOK-102", "LOD-003", "LOD-108", "GEN-007")),
        (drop("ask", "answers", "generations"), ("PRM-101", "GEN-105", "GEN-107")),
        (drop("ask", "probes"), ("LOD-105", "LOD-106")),
        (drop("ask", "other_folder"), ("LOD-107",)),
        (drop("ask", "score"), ("SCR-001", "SCR-102")),
    ],
    ids=["no texts", "nothing heard", "no probes", "not loaded elsewhere", "no figures"],
)
def test_what_was_not_seen_is_not_decided(capture: Capture, cut: Change, ids: tuple[str, ...]) -> None:
    verdict = grade(capture, cut)
    assert broke(verdict) == {}
    assert {outcomes(verdict)[name] for name in ids} <= {Outcome.SKIPPED, Outcome.BLOCKED}


@pytest.mark.parametrize(("learned", "outcome"), [(True, Outcome.ADVICE), (False, Outcome.SKIPPED)])
def test_labels_that_pass_no_boundary_are_known_by_what_was_learned(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, *, learned: bool, outcome: Outcome
) -> None:
    def hide_labels(recorded: dict[str, Sections]) -> None:
        lessons = recorded["train"]["training_log"]
        lessons["has_labels"] = False
        lessons["examples"] = [[ids, ids] for ids, _ in lessons["examples"]]

    monkeypatch.setattr(Recording, "has_learned", learned)
    assert outcomes(grade(capture, hide_labels))["TOK-102"] is outcome
