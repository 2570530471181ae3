"""Rows and scores."""

import itertools
import json
import math
from pathlib import Path

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft_ref import generate_rows, is_answer_valid, load_rows, score, split_rows
from sft_ref.errors import DataError
from sft_ref.reference import questions
from sft_ref.reference.fingerprints import digest
from sft_ref.reference.guards.rows import check_rows


def test_splits_are_a_thousand_rows_each_and_share_no_question() -> None:
    train, validation = split_rows("train"), split_rows("validation")
    assert len(train) == len(validation) == 1000
    assert len({question for question, _ in train + validation}) == 2000


def test_splits_are_the_same_on_every_machine() -> None:
    rows = split_rows("train")[:5] + split_rows("validation")[:5]
    assert digest(rows) == "42d61efff976dfe567e47b30ba71b1f781a53bfcfb6df80256ece71bd6c473db"


def test_there_are_six_kinds_and_at_least_twenty_phrasings() -> None:
    assert set(questions.UNITS) == {"length", "mass", "volume", "time", "speed", "data size"}
    assert len(set(questions.PHRASINGS)) >= 20
    assert "G" in questions.UNITS["data size"]["gigabyte"]


def test_every_kind_and_phrasing_is_asked() -> None:
    rows = [question for question, _ in split_rows("train")]
    for phrasing in questions.PHRASINGS:
        opening = phrasing.split("{")[0]
        assert any(row.startswith(opening) for row in rows)


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_and_answers_stay_within_bounds_and_agree_with_pint(seed: int) -> None:
    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    spelled = {name: unit for units in questions.UNITS.values() for unit, names in units.items() for name in names}
    checked = 0
    for question, value in itertools.islice(generate_rows(seed), 500):
        assert 0.01 <= value <= 1e15
        words = question.removesuffix(".").split(" ")
        if question.startswith("Convert ") and " to " in question:  # Convert {n} {of} to {to}.
            at = words.index("to")
            of, to = " ".join(words[2:at]), " ".join(words[at + 1 :])
            assert 1 <= int(words[1]) <= 10
            assert value == pytest.approx(registry.Quantity(int(words[1]), spelled[of]).to(spelled[to]).magnitude)
            checked += 1
    assert checked > 5


def test_another_seed_asks_other_questions() -> None:
    first, second = (set(itertools.islice(generate_rows(seed), 100)) for seed in (1, 2))
    assert len(first & second) < 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("[]", "holds no rows"),
        ("{}", "row 1 lacks the keys of a row"),
        ('[["a", 1], ["b"]]', "row 2 is not a pair"),
        ('[["a", 1], 7]', "row 2 is not a pair"),
        ('[["a", 1], ["  ", 2]]', "row 2 has an empty question"),
        ("[[3, 1]]", "row 1 has an empty question"),
        ('[["a", 1], ["b", "x"]]', "row 2 has a text for an answer, and row 1 a number"),
        ('[["a", "x"], ["b", " "]]', "row 2 has an empty answer"),
        ('[["a", null]]', "row 1 has an answer that is neither a number nor a text"),
        ('["a", 1]\n{"prompt": "b"}', "row 2 lacks the keys of a row"),
        ('{"text": "2 h? <answer>7200</answer>"}\n{"text": "2 h? 7200"}', "row 2 has a text that is not written as"),
        ('[["a", true]]', "row 1 has an answer that is neither a number nor a text"),
        ('[["a", NaN]]', "row 1 has an answer that is not finite"),
        ('[["a", 1], ["b", Infinity]]', "row 2 has an answer that is not finite"),
        (f'[["a", {10**400}]]', "row 1 has an answer that is not finite"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_rows(path)


def test_no_rows_at_all_are_an_error() -> None:
    with pytest.raises(DataError, match="holds no rows"):
        check_rows([])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        load_rows(tmp_path / "none.json")


def test_own_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([["What is 2 + 2?", 4], ["Und π?", 3.14]]), encoding="utf-8")
    assert load_rows(path) == [("What is 2 + 2?", 4.0), ("Und π?", 3.14)]


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sky?"}]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([["Sky?", "Blue."], ["Grass?", "Green."]], [("Sky?", "Blue."), ("Grass?", "Green.")]),
        ([{"question": "2 + 2?", "answer": 4}, ["3?", 3]], [("2 + 2?", 4.0), ("3?", 3.0)]),
        ([{"prompt": "2 + 2 =", "completion": " 4"}], [("2 + 2 =", 4.0)]),
        ([{"prompt": "2 + 2 =", "completion": "4"}, ["Sky?", "Blue."]], [("2 + 2 =", "4"), ("Sky?", "Blue.")]),
        ([{"messages": [*MESSAGES, {"role": "assistant", "content": "Blue."}]}], [("Be brief.\nSky?", "Blue.")]),
        ([{"text": "Sky? <answer>Blue.</answer>"}], [("Sky?", "Blue.")]),
    ],
)
@pytest.mark.parametrize("as_lines", [True, False])
def test_rows_are_read_in_every_form(lines: list[object], rows: list[object], as_lines: bool, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("\n".join(map(json.dumps, lines)) if as_lines else json.dumps(lines), encoding="utf-8")
    assert load_rows(path) == rows


@pytest.mark.parametrize(
    ("answers", "truths", "accuracy", "answer_rate"),
    [
        (["blue", " RED. "], ["Blue.", "red"], 1.0, 1.0),
        (["", "green"], ["blue", "red"], 0.0, 0.5),
        ([1.0, ""], [1, "a"], 0.5, 0.5),
    ],
)
def test_texts_are_right_where_they_are_the_same(
    answers: list[float | str], truths: list[float | str], accuracy: float, answer_rate: float
) -> None:
    found = score(answers, truths)
    assert (found.accuracy, found.answer_rate) == (accuracy, answer_rate)


@pytest.mark.parametrize(
    ("answer", "truth", "valid"),
    [
        (104.9, 100, True),
        (105, 100, False),  # strictly
        (95.1, 100, True),
        (95, 100, False),
        (-100, 100, False),
        (-104.9, -100, True),
        (0.0104, 0.01, True),  # both rounded to 0.010
        (0, 0, False),
        (0.0001, 0.0001, False),  # rounds to 0, which nothing is close to
        (math.nan, 1, False),
        (math.inf, 1, False),
        (math.inf, math.inf, False),
        (1, math.nan, False),
    ],
)
def test_an_answer_is_right_strictly_within_five_percent(answer: float, truth: float, valid: bool) -> None:
    assert is_answer_valid(answer, truth) is valid


@given(st.floats(0.02, 1e15))
def test_the_truth_itself_is_right(truth: float) -> None:
    assert is_answer_valid(truth, truth)


def test_a_score_counts_right_answers_and_answers() -> None:
    result = score([1.0, math.nan, 3.0, 9.0], [1.0, 2.0, 3.0, 4.0])
    assert (result.accuracy, result.answer_rate, result.questions) == (0.5, 0.75, 4)
    assert str(result) == "accuracy=0.50 answer_rate=0.75"


@pytest.mark.parametrize("answers", [[], [1.0]])
def test_a_score_of_nothing_or_of_too_few_answers_is_an_error(answers: list[float]) -> None:
    with pytest.raises(DataError):
        score(answers, [1.0, 2.0] if answers else [])
