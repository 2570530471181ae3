"""Submissions are graded: what is sound passes, what is broken is named, and what attacks earns nothing."""

from __future__ import annotations

from pathlib import Path

import build as corpus
import pytest

from sft_ref.errors import SubmissionError
from sft_ref.harness.submission.judge import draw, grade_submission
from sft_ref.harness.verdict import Verdict

SAMPLE = ("parser_wants_the_consumed_tag", "looked_up_in_answer", "lora_by_hand_not_filled")
"""The one of the story, a cheat, and an adapter that is not peft's.

`board.py` grades them all; the README's test grades one that is sound."""


def _grade(name: str, folder: Path) -> Verdict:
    submission = next(each for each in corpus.SUBMISSIONS if each.name == name)
    return grade_submission(corpus.build(submission, folder / name), name, seed=11)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SAMPLE)
def test_the_verdict_is_right_and_every_stage_named_is_at_fault(name: str, tmp_path: Path) -> None:
    submission = next(each for each in corpus.SUBMISSIONS if each.name == name)
    verdict = _grade(name, tmp_path)
    assert verdict.standing == submission.verdict, verdict.cause
    assert set(verdict.stages) <= submission.stages | submission.also, verdict.cause
    assert bool(verdict.stages) == bool(submission.stages), verdict.cause
    assert not [result.seen for result in verdict.results if result.outcome == "error"]


def test_questions_are_drawn_anew_and_lie_in_no_file_of_the_submission() -> None:
    rows, unseen, fresh = draw(3)
    known = {question for question, _ in (*rows, *unseen)}
    assert not known & {question for question, _ in fresh}
    assert draw(4)[2] != fresh
    assert draw(3)[2] == fresh


def test_a_module_without_end_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "module.py").open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(SubmissionError, match="is larger than"):
        grade_submission(tmp_path / "module.py", "module.py")


def test_a_folder_whose_name_ends_as_a_module_does_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(SubmissionError, match=r"no folder with base_llm\.py"):
        grade_submission(tmp_path / "folder.py", "folder.py")
