"""Rows are read in the forms that fine-tunes keep them; what cannot be read is named by its number."""

import json
from pathlib import Path

import pytest

from sft_ref.errors import DataError
from sft_ref.io.rows.forms import MOST_ROWS, in_other_ways, read_rows

PAIR = ["What is 3 km in m?", 3000]


def save(path: Path, text: str) -> Path:
    (path / "rows.json").write_text(text, encoding="utf-8")
    return path / "rows.json"


@pytest.mark.parametrize(
    ("row", "messages", "answer", "value"),
    [
        (PAIR, (("user", PAIR[0]),), "3000", 3000.0),
        (["Who?", "Me."], (("user", "Who?"),), "Me.", None),
        (["Who?", "3e3"], (("user", "Who?"),), "3e3", 3000.0),
        ({"question": "Who?", "answer": "Me."}, (("user", "Who?"),), "Me.", None),
        ({"prompt": "Who? ", "completion": "Me."}, (("user", "Who? "),), "Me.", None),
        (
            {
                "prompt": [{"role": "user", "content": "Who?"}],
                "completion": [{"role": "assistant", "content": "Me."}],
            },
            (("user", "Who?"),),
            "Me.",
            None,
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho"},
                    {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
                    {"role": "assistant", "content": "Me."},
                    {"role": "user", "content": "Thanks"},
                ]
            },
            (("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho"), ("user", "Who?")),
            "Me.",
            None,
        ),
    ],
)
def test_each_form_of_a_row_is_understood(
    tmp_path: Path, row: object, messages: tuple[tuple[str, str], ...], answer: str, value: float | None
) -> None:
    for text in (
        json.dumps([row]),
        json.dumps([row, row], indent=1),
        f"{json.dumps(row)}\n\n{json.dumps(row)}\n",
        json.dumps(row),
    ):
        found = read_rows(save(tmp_path, text))
        assert {(each.messages, each.answer, each.value) for each in found} == {(messages, answer, value)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[["a", "b"], ["c"]]', "row 2 is a list that is not a pair"),
        ('[["a", "b"], 3]', "row 2 is neither a pair nor an object"),
        ('["a", null]', "row 1 has an empty answer"),
        ('["a", true]', "row 1 has an empty answer"),
        ('[["a", NaN]]', "row 1 has an answer that is not finite"),
        (f'[["a", {"9" * 400}]]', "row 1 has an answer that is not finite"),
        ('[[" ", "b"]]', "row 1 has an empty question"),
        ('[{"instruction": "a"}]', "row 1 lacks the keys"),
        ('[{"prompt": "a", "completion": []}]', "row 1 has an empty answer"),
        ('[{"prompt": [], "completion": "a"}]', "not both texts or both lists"),
        ('[{"messages": [{"role": "user", "content": "a"}]}]', "row 1 has no assistant turn"),
        ('[{"messages": [{"role": "assistant", "content": "a"}]}]', "row 1 has no assistant turn"),
        ('[{"messages": [{"role": "user", "content": "a"}, {"role": "assistant"}]}]', "row 1 has an empty answer"),
        ('[{"messages": [{"content": "a"}]}]', "row 1 has a message without a role"),
        (
            '[{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]}]',
            "row 1 has an empty answer",
        ),
        ('["a", "b"]\n["c", "d"\n', "line 2: it is not JSON"),
        ("[", "is not JSON"),
        ("[]", "holds no rows"),
        ("\n", "holds no rows"),
        ("[" * 100_000, "nested too deeply"),
        ('["a", "b"]\n' + "[" * 100_000, "line 2: it is nested too deeply"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_rows(save(tmp_path, text))
    assert "rows.json" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_file_that_is_no_text_or_not_there_or_huge_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b'[["a", "\xff"]]')
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**30)
    for name, message in (("bytes", "UTF-8"), ("none", "cannot be read"), ("huge", "larger than 100 MB")):
        with pytest.raises(DataError, match=message):
            read_rows(tmp_path / name)


def test_of_many_rows_some_are_taken_from_all_parts_and_the_last_bad_one_is_still_named(tmp_path: Path) -> None:
    rows: list[object] = [[f"question {n}", "yes"] for n in range(1000)]
    found = read_rows(save(tmp_path, json.dumps(rows)))
    assert len(found) == MOST_ROWS
    assert found[-1].question == "question 984"
    with pytest.raises(DataError, match="row 1001"):
        read_rows(save(tmp_path, json.dumps([*rows, ["only"]])))


def test_numbers_are_written_in_other_ways_where_that_makes_a_difference(tmp_path: Path) -> None:
    rows = read_rows(save(tmp_path, json.dumps([PAIR, ["Who?", "Me."]])))
    assert [[row.answer for row in each] for each in in_other_ways(rows)] == [["3000.0", "Me."]]
    rows = read_rows(save(tmp_path, json.dumps([["What is 7 km/h in mph?", 4.349598345661]])))
    assert [each[0].answer for each in in_other_ways(rows)] == ["4.35", "4.3496", "4.349598", "4.3"]


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    row = ["one\u2028two\x85three", "yes"]
    found = read_rows(save(tmp_path, "\n".join(json.dumps(row, ensure_ascii=False) for _ in range(2))))
    assert [each.question for each in found] == [row[0]] * 2


def test_a_text_is_split_by_the_prompt_and_else_refused_with_what_to_give(tmp_path: Path) -> None:
    path = save(tmp_path, '[["a", "b"], {"text": "Q: Who? A: Me."}]')
    assert read_rows(path, prompt="Q: {question} A: {answer}")[1].answer == "Me."
    with pytest.raises(DataError, match="row 2 is a text, which does not say where its answer begins; give --prompt"):
        read_rows(path)
    for prompt in ("{question} Answer: {answer}", "{question}{answer}"):
        with pytest.raises(DataError, match="row 2"):
            read_rows(path, prompt=prompt)
