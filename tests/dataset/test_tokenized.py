"""Rows that are tokenized already: what their labels teach, by the ids alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import AutoTokenizer

from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Verdict
from sft_ref.reference.bases.find import find_base

from .conftest import MakeRows, failed, result

IGNORED = -100
Graded = Callable[..., Verdict]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(find_base("toy"))


def row(tokenizer: Any, *, labelled: int | None = None, end: bool = True, padded: int = 0) -> dict[str, list[int]]:
    """A prompt and an answer with its end; of the answer, only so many tokens may carry labels."""
    prompt, answer = tokenizer("What is 6 kg in g?")["input_ids"], tokenizer(" It is 6000.0")["input_ids"]
    answer += [tokenizer.eos_token_id] if end else []
    labelled = len(answer) if labelled is None else labelled % (len(answer) + 1)
    labels = [IGNORED] * len(prompt) + answer[:labelled] + [IGNORED] * (len(answer) - labelled)
    return {
        "input_ids": prompt + answer + [tokenizer.pad_token_id] * padded,
        "labels": labels + [IGNORED] * padded,
        "attention_mask": [1] * len(labels) + [0] * padded,
    }


def test_sound_rows_pass_with_padding_and_without(tokenizer: Any, make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows([row(tokenizer), row(tokenizer, padded=5)] * 8))
    assert not failed(verdict)
    assert [each.examined for each in verdict.coverage if each.stage == "tokens"] == [True]


@pytest.mark.parametrize(
    ("options", "check", "words"),
    [
        ({"labelled": 0}, "TOK-401", "16 of 16 rows have no label"),
        ({"labelled": -2}, "TOK-402", "in 16 of 16 rows the end token, '<|im_end|>', has no label"),
        ({"labelled": -2, "padded": 4}, "TOK-402", "in 16 of 16 rows the end token, '<|im_end|>', has no label"),
        ({"end": False}, "TOK-402", "in 16 of 16 rows no special token ends the answer"),
    ],
)
def test_a_fault_of_the_labels_is_named(
    options: dict[str, Any], check: str, words: str, tokenizer: Any, make_rows: MakeRows, graded: Graded
) -> None:
    verdict = graded(make_rows([row(tokenizer, **options)] * 16))
    assert failed(verdict).keys() == {check}
    assert failed(verdict)[check].startswith(words)


def test_an_answer_that_truncation_cuts_is_named(tokenizer: Any, make_rows: MakeRows, graded: Graded) -> None:
    own = row(tokenizer)
    path = make_rows([own] * 16)
    assert failed(graded(path, max_length=len(own["input_ids"]) - 1)).keys() == {"TOK-403"}
    assert result(graded(path, max_length=len(own["input_ids"])), "TOK-403").outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            {"input_ids": [5, 6], "labels": [6, -100]},
            "row 2 has label 6 on token 5, index 0: the model shifts labels itself",
        ),
        ({"input_ids": [5, 6], "labels": [-100]}, "row 2 has 2 input_ids and 1 labels"),
        ({"input_ids": [5, 6]}, "row 2 has labels that are not a list of whole numbers"),
        ({"input_ids": [5, True], "labels": [5, 1]}, "row 2 has input_ids that are not a list of whole numbers"),
        (
            {"input_ids": [5, 10**9], "labels": [5, 10**9]},
            "row 2 has the id 1000000000, and the tokenizer has 762 tokens",
        ),
        (["a", "b"], "row 2 has no input_ids, although others have"),
    ],
)
def test_a_bad_row_is_named(bad: Any, words: str, tokenizer: Any, make_rows: MakeRows, graded: Graded) -> None:
    with pytest.raises(SftRefError, match=words):
        graded(make_rows([row(tokenizer), bad]))


def test_a_prompt_is_refused(tokenizer: Any, make_rows: MakeRows, graded: Graded) -> None:
    with pytest.raises(SftRefError, match="its rows are tokenized already; leave out --prompt and --chat-template"):
        graded(make_rows([row(tokenizer)]), prompt="{question} {answer}")
