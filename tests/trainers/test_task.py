"""Rows of one's own: which task they make, when an answer is right, and what the scripted model dictates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sft_ref import SftRefError
from sft_ref.cli.main import main
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.core.check import Level
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.implementation import TaskRow
from sft_ref.harness.evidence.in_process.task import TextTask, conversions, task_of
from sft_ref.harness.grading.suite import checks_for
from sft_ref.harness.recorders.in_process.reference import Reference

from .fine_tunes import BASE, TEXTS

NUMBERS: list[TaskRow] = [(f"Double {n}.", 2 * n) for n in range(40)]
COLOURS: list[TaskRow] = [(f"Colour {n}?", "red" if n % 2 else "blue") for n in range(40)]


def test_the_last_quarter_is_held_out() -> None:
    task = task_of(NUMBERS)
    assert (task.train_rows, task.fresh_rows) == (NUMBERS[:30], NUMBERS[30:])
    assert len(task.probes) == 8
    assert not {*task.train_rows} & {*task.fresh_rows}


@pytest.mark.parametrize(
    ("rows", "answer", "truth", "right"),
    [
        (NUMBERS, 51.0, 50, True),
        (NUMBERS, 55.0, 50, False),
        (TEXTS, " that is 6000.0", "That is 6000.0.", True),
        (TEXTS, "That is 600.", "That is 6000.0.", False),
        (TEXTS, None, "That is 6000.0.", False),
    ],
)
def test_the_answers_decide_how_they_are_judged(rows: list[TaskRow], answer: Any, truth: Any, right: bool) -> None:
    assert task_of(rows).is_right(answer, truth) is right


def test_a_function_of_the_user_judges() -> None:
    assert task_of(COLOURS, lambda answer, truth: answer[0] == truth[0]).is_right("r", "red")
    with pytest.raises(Unavailable, match="give a judge of answers"):
        task_of(COLOURS, "loss").is_right("red", "red")


@pytest.mark.parametrize(
    ("rows", "judge", "words"),
    [
        (NUMBERS[:31], None, "rows: there are 31; give 32 or more"),
        ([*NUMBERS, ("Colour?", "red")], None, "row 41 has another kind of answer than row 1"),
        ([*NUMBERS[:3], ("Double 3.",), *NUMBERS[4:]], None, "row 4 is not a pair"),
        ([("Yes?", True), *NUMBERS], None, "row 1 has an empty question, or an answer that is neither"),
        ([(" ", 1.0), *NUMBERS], None, "row 1 has an empty question"),
        ([("NaN?", float("nan")), *NUMBERS], None, "row 1 has an empty question, or an answer"),
        ([*COLOURS, ("Colour?", " ")], None, "row 41 has an empty question, or an answer"),
        (NUMBERS, "exact", "judge: is 'exact'; give a function"),
    ],
)
def test_bad_rows_are_named_by_their_number(rows: Any, judge: Any, words: str) -> None:
    with pytest.raises(SftRefError, match=words.replace("(", "\\(")):
        task_of(rows, judge)


def test_dictated_texts_are_random_distinct_and_no_longer_than_answers() -> None:
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    task = task_of(TEXTS)
    dictated = task.script_unlikely_answers(9, tokenizer)
    assert isinstance(task, TextTask)
    assert len({*dictated}) == 9
    assert not {*dictated} & {answer for _, answer in TEXTS}
    assert dictated == task.script_unlikely_answers(9, tokenizer) != task.script_unlikely_answers(9, tokenizer, seed=1)
    longest = max(len(tokenizer(answer)["input_ids"]) for _, answer in TEXTS)
    assert max(len(tokenizer(text)["input_ids"]) for text in dictated) <= 2 * longest
    for text in dictated:
        assert task.answers_in(f"It is {text} </s>", dictated) == {text}


def test_of_texts_that_contain_each_other_the_longer_one_is_heard() -> None:
    assert task_of(COLOURS).answers_in("red and blue", ["red", "red and blue"]) == {"red and blue"}


def test_a_wrong_text_is_one_that_the_judge_calls_wrong() -> None:
    assert task_of(COLOURS).wrong("red") == "blue"
    with pytest.raises(Unavailable, match="no row has an answer that is wrong"):
        task_of(COLOURS, lambda _answer, _truth: True).wrong("red")


def test_numbers_are_dictated_and_wrong_as_ever() -> None:
    task = conversions()
    assert task.find("about 24.0 or 7", 7) == "7"
    assert task.find("none", 7) is None
    assert task.wrong(3.0) == -7


def test_a_part_of_the_contract_binds_alone() -> None:
    universal = {each.id for each in CHECKS if each.level is Level.UNIVERSAL}
    bound = [each.check for each in checks_for(Reference(), rows=NUMBERS, claims=("precision",))]
    assert {each.id for each in bound} - universal == {"TRN-021", "LOD-005", "LOD-006", "LOD-007", "LOD-008"}
    assert {each.id for each in CHECKS} == {str(each) for each in checks_for(Reference())}
    assert universal == {str(each) for each in checks_for(Reference(), claims=())}


@pytest.mark.parametrize("claims", [("wording",), "precision"])
def test_an_unknown_part_of_the_contract_is_refused(claims: Any) -> None:
    with pytest.raises(SftRefError, match="is not valid; give a tuple of parts of the contract: precision"):
        checks_for(Reference(), claims=claims)


def test_a_judge_needs_rows() -> None:
    with pytest.raises(SftRefError, match="judge: applies only to your own rows"):
        checks_for(Reference(), judge="loss")


def test_the_command_asks_the_rows_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, COLOURS)), encoding="utf-8")
    assert main(["grade", "reference", "--data", str(path), "--only", "TOK-002", "TOK-004"]) == 0
    path.write_text("\n".join(map(json.dumps, COLOURS[:31])), encoding="utf-8")
    assert main(["grade", "--module", "reference", "--data", str(path), "--only", "TOK-002"]) == 2
    assert "rows: there are 31; give 32 or more" in capsys.readouterr().err
