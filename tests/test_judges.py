"""A judge of one's own is found by name, and what is wrong with it is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_ref.cli.main import main
from sft_ref.errors import DataError
from sft_ref.harness.core.judges import find_judge

SOURCE = """
def first_word(answer, truth):
    return answer.split()[0] == truth

number = 3

def fails(answer, truth):
    raise KeyError("no such row")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules.py").write_text(SOURCE)
    (tmp_path / "broken_rules.py").write_text("raise OSError('disk')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_function_of_the_working_directory_judges() -> None:
    judge = find_judge("my_rules:first_word")
    assert judge("yes indeed", "yes") is True
    assert judge("no", "yes") is False


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my_rules", "is not of the form module:function"),
        (":first_word", "is not of the form module:function"),
        ("my_rules:second_word", "AttributeError"),
        ("nowhere_at_all:judge", "ModuleNotFoundError"),
        ("broken_rules:judge", "OSError: disk"),
        ("my_rules:number", "is not a function"),
    ],
)
def test_what_is_no_judge_is_refused(name: str, says: str) -> None:
    with pytest.raises(DataError, match=f"--judge {name}: .*{says}"):
        find_judge(name)


def test_an_exception_of_the_judge_names_it_and_the_answer() -> None:
    with pytest.raises(DataError, match="--judge my_rules:fails: KeyError: 'no such row', for 'a' and 'b'"):
        find_judge("my_rules:fails")("a", "b")


def test_a_judge_without_rows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", "reference", "--judge", "my_rules:first_word"]) == 2
    assert "--judge: judges answers to rows; give --data as well" in capsys.readouterr().err
