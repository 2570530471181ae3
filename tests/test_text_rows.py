"""Training and testing on texts: the reference's own wording, judged by whether the text is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sft_ref import split_rows
from sft_ref.cli.main import main
from sft_ref.reference.prompt import format_example
from sft_ref.reference.texts import parse_text


@pytest.mark.slow
def test_a_text_is_trained_and_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The toy learns twelve sentences by heart."""
    data, folder = tmp_path / "rows.jsonl", str(tmp_path / "adapter")
    rows = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": f"That is {value!r}."}]}
        for question, value in split_rows("train")[:12]
    ]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    size = ("--steps", "80", "--batch-size", "12", "--learning-rate", "0.005", "--policy", "fp32")
    assert main(["train", "--base", "toy", "--data", str(data), "--output", folder, *size]) == 0
    capsys.readouterr()
    assert main(["test", folder, "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    found = dict(word.split("=") for word in shown.split() if word.startswith(("accuracy=", "answer_rate=")))
    assert float(found["accuracy"]) > 0.9
    assert float(found["answer_rate"]) == 1.0
    assert "That is" in shown


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("red</answer>", "red"),
        ("<answer> red </answer> blue</answer>", "red"),
        ("red", "red"),
        ("</answer>red", ""),
        ("", ""),
    ],
)
def test_the_text_between_the_tags_is_the_answer(completion: str, text: str) -> None:
    assert parse_text(completion) == text


def test_an_answer_that_is_a_text_is_written_as_it_is() -> None:
    assert format_example(" Sky? ", " Blue. ") == {"question": "Sky? <answer>", "answer": "Blue.</answer>"}
    assert format_example("Half?", 1 / 3)["answer"] == "0.333</answer>"
