"""The corpus of submissions is what it says."""

import ast
from pathlib import Path

import build as corpus
import pytest

from sft_ref.harness.core.stages import STAGES


@pytest.mark.parametrize("submission", corpus.SUBMISSIONS, ids=lambda submission: submission.name)
def test_each_submission_is_built_and_is_python(submission: corpus.Submission, tmp_path: Path) -> None:
    folder = corpus.build(submission, tmp_path / "handed in")
    for path in folder.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    assert (folder / submission.package / "sft.py").is_file()


def test_stages_are_named_where_something_is_wrong_and_nowhere_else() -> None:
    for each in corpus.SUBMISSIONS:
        assert bool(each.stages) == (each.verdict in {"drift", "broken"}), each.name
        assert each.stages | each.also <= set(STAGES.values()), each.name
        assert not each.stages & each.also, each.name


def test_no_name_stands_for_two_submissions() -> None:
    names = [each.name for each in corpus.SUBMISSIONS]
    assert len(names) == len(set(names))


def test_an_edit_whose_text_is_not_found_is_an_error(tmp_path: Path) -> None:
    stray = corpus.Edit("sft.py", "no such line", "")
    broken = corpus.Submission(
        "stray", "trainer", "none", "broken", frozenset(), frozenset(), frozenset(), "homework", (stray,)
    )
    with pytest.raises(ValueError, match=r"stray: stands 0 times in sft\.py"):
        corpus.build(broken, tmp_path / "stray")
