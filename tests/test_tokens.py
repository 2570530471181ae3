"""Token ids, labels and batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from sft_ref import BaseLLM, format_example, format_prompt, parse_answer, split_rows
from sft_ref.errors import DataError
from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate, tokenize_example

questions = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
values = st.floats(-1e15, 1e15)


@pytest.fixture(scope="module")
def tokenizer(blank_toy: BaseLLM) -> PreTrainedTokenizerBase:
    return blank_toy.tokenizer


@settings(max_examples=200)
@given(question=questions, value=values)
def test_what_is_supervised_is_the_answer_and_the_end(
    tokenizer: PreTrainedTokenizerBase, question: str, value: float
) -> None:
    example = tokenize_example(tokenizer, question, value, max_tokens=4096)
    prompt = tokenizer(format_prompt(question))["input_ids"]
    assert list(example.input_ids[: -example.supervised]) == prompt
    assert example.input_ids[-1] == tokenizer.eos_token_id
    supervised = tokenizer.decode(list(example.input_ids[-example.supervised : -1]))
    assert supervised == format_example(question, value)["answer"]
    assert parse_answer(supervised) == round(value, 3)


def test_tokenizing_twice_gives_the_same(tokenizer: PreTrainedTokenizerBase) -> None:
    row = split_rows("train")[0]
    assert tokenize_example(tokenizer, *row) == tokenize_example(tokenizer, *row)


def test_a_long_prompt_is_cut_and_its_target_is_not(tokenizer: PreTrainedTokenizerBase) -> None:
    whole = tokenize_example(tokenizer, "why " * 500, 6000.0, max_tokens=10_000)
    cut = tokenize_example(tokenizer, "why " * 500, 6000.0, max_tokens=40)
    assert len(cut.input_ids) == 40
    assert cut.supervised == whole.supervised
    assert cut.input_ids == whole.input_ids[-40:]


def test_a_target_that_does_not_fit_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(DataError, match="at most 5 fit"):
        tokenize_example(tokenizer, "why?", 6000.0, max_tokens=5)


examples = st.lists(
    st.lists(st.integers(3, 50), min_size=2, max_size=12).flatmap(
        lambda ids: st.builds(Example, st.just(tuple(ids)), st.integers(1, len(ids) - 1))
    ),
    min_size=1,
    max_size=8,
)


@given(examples)
def test_a_batch_is_padded_on_the_left_and_labels_only_targets(rows: list[Example]) -> None:
    batch = collate(rows, pad_token_id=2)
    longest = max(len(row.input_ids) for row in rows)
    for name in ("input_ids", "attention_mask", "position_ids", "labels"):
        assert batch[name].shape == (len(rows), longest)
        assert batch[name].dtype == torch.int64
    for i, row in enumerate(rows):
        pads = longest - len(row.input_ids)
        assert batch["input_ids"][i].tolist() == [2] * pads + list(row.input_ids)
        assert batch["attention_mask"][i].tolist() == [0] * pads + [1] * len(row.input_ids)
        assert batch["position_ids"][i, pads:].tolist() == list(range(len(row.input_ids)))
        ignored = longest - row.supervised
        assert batch["labels"][i].tolist() == [IGNORE_INDEX] * ignored + list(row.input_ids[-row.supervised :])
