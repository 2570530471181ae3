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


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return record(tmp_path_factory.mktemp("capture") / "work")


def broke(verdict: Verdict) -> dict[str, str]:
    return {result.check.id: result.observed for result in verdict.results if result.outcome is Outcome.ERROR}


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {result.check.id: result.outcome for result in verdict.results}


def test_the_capture_itself_is_examined(capture: Capture) -> None:
    found = outcomes(grade(capture))
    assert {found[name] for name in ("PRM-101", "TOK-102", "ART-102", "LOD-102", "GEN-101", "PRS-101")} == {"pass"}


PATHS = [
    *(("train", "lessons", key) for key in ("rows", "passes", "steps", "labelled", "optimizer", "counted", "changed")),
    *(("ask", "load", key) for key in ("read", "counted", "vocabulary")),
    *(("ask", "answers", key) for key in ("values", "texts", "heard")),
    *(("ask", f"script_{number}", key) for number in range(4) for key in ("values", "texts", "heard")),
    *(("ask", "probes", key) for key in ("apart", "counted")),
    *(("ask", "score", key) for key in ("figures", "printed", "given")),
    ("ask", "parse", "values"),
    *((verb, section, None) for verb in ("train", "ask") for section in ("bases", "end")),
    *(("ask", section, None) for section in ("load", "answers", "probes", "parse", "score", "elsewhere", "script_0")),
    ("train", "lessons", None),
]


@st.composite
def cuts(draw: st.DrawFn) -> Change:
    """Some of the sections and their parts missing, empty, halved, one row, or not a number."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 4)), min_size=1, max_size=4))

    def cut(recorded: dict[str, Sections]) -> None:
        for (verb, section, key), how in chosen:
            if key is None:
                recorded[verb].pop(section, None)
            elif key in recorded[verb].get(section, {}):
                recorded[verb][section][key] = _less(recorded[verb][section][key], how)

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
        verb, section, *key = path
        if key:
            recorded[verb][section][key[0]] = []
        else:
            del recorded[verb][section]

    return cut


@pytest.mark.parametrize(
    ("cut", "ids"),
    [
        (drop("train", "lessons", "rows"), ("TOK-102", "LOD-102", "LOD-108", "GEN-101")),
        (drop("ask", "answers", "heard"), ("PRM-101", "GEN-105", "GEN-107")),
        (drop("ask", "probes"), ("LOD-105", "LOD-106")),
        (drop("ask", "elsewhere"), ("LOD-107",)),
        (drop("ask", "score"), ("SCR-101", "SCR-102")),
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
        lessons = recorded["train"]["lessons"]
        lessons["labelled"] = False
        lessons["rows"] = [[ids, ids] for ids, _ in lessons["rows"]]

    monkeypatch.setattr(Recording, "has_learned", learned)
    assert outcomes(grade(capture, hide_labels))["TOK-102"] is outcome
