"""Generation: shapes, order, batches, and nothing but new text."""

import json
import math
import random
import shutil
from pathlib import Path

import pytest
import torch

from sft_ref import BaseLLM, format_prompt, parse_answer, split_rows
from sft_ref.errors import BaseModelError, PrecisionError
from sft_ref.reference.base_llm import MAX_NEW_TOKENS
from sft_ref.reference.bases.find import find_base

PROMPTS = [format_prompt(question) for question, _ in split_rows("validation")[:12]]


def test_none_gives_a_flat_list_and_a_number_a_list_of_lists(toy_llm: BaseLLM) -> None:
    flat = toy_llm.batched_generate(PROMPTS)
    assert all(isinstance(text, str) for text in flat)
    assert toy_llm.batched_generate(PROMPTS, 1) == [[text] for text in flat]
    three = toy_llm.batched_generate(PROMPTS, 3, temperature=1.0)
    assert [len(texts) for texts in three] == [3] * len(PROMPTS)
    assert toy_llm.generate(PROMPTS[0]) == toy_llm.batched_generate(PROMPTS[:1])[0]


def test_an_empty_list_gives_an_empty_list(toy_llm: BaseLLM) -> None:
    for nothing in (toy_llm.batched_generate([]), toy_llm.batched_generate([], 2, 1.0), toy_llm.answer()):
        assert list[object](nothing) == []


def test_answers_keep_the_order_of_their_questions(toy_llm: BaseLLM) -> None:
    texts = dict(zip(PROMPTS, toy_llm.batched_generate(PROMPTS), strict=True))
    assert len(set(texts.values())) > 3  # else the order could not be seen
    shuffled = random.Random(0).sample(PROMPTS, len(PROMPTS))
    assert toy_llm.batched_generate(shuffled) == [texts[prompt] for prompt in shuffled]


def test_repeated_prompts_get_repeated_answers(toy_llm: BaseLLM) -> None:
    assert toy_llm.batched_generate(PROMPTS[:2] * 2) == toy_llm.batched_generate(PROMPTS[:2]) * 2


def test_batches_give_what_single_prompts_give_in_fp32(blank_toy: BaseLLM) -> None:
    assert blank_toy.batched_generate(PROMPTS) == [blank_toy.generate(prompt) for prompt in PROMPTS]


def test_many_questions_are_split_into_batches(toy_llm: BaseLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    due = toy_llm.answer(*PROMPTS)
    seen: list[torch.Size] = []
    hook = toy_llm.model.get_base_model().model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["input_ids"].shape), with_kwargs=True
    )
    monkeypatch.setattr("sft_ref.reference.fast.batches.BATCH_TOKENS", 300)
    assert (
        sum(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(toy_llm.answer(*PROMPTS), due, strict=True))
        >= 11
    )
    hook.remove()
    prompts = [shape for shape in seen if shape[1] > 1]
    assert len(prompts) > 2
    assert sum(rows for rows, _ in prompts) == len(PROMPTS)
    assert all(rows * (length + MAX_NEW_TOKENS) <= 300 for rows, length in prompts)
    assert prompts[0][0] > prompts[-1][0]  # longer ones, fewer at a time


def test_a_prompt_longer_than_a_batch_goes_alone(toy_llm: BaseLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    due = [toy_llm.generate(prompt) for prompt in PROMPTS[:3]]
    monkeypatch.setattr("sft_ref.reference.fast.batches.BATCH_TOKENS", 1)
    assert toy_llm.batched_generate(PROMPTS[:3]) == due


def test_a_completion_is_new_text_without_special_tokens(toy_llm: BaseLLM) -> None:
    for prompt, text in zip(PROMPTS, toy_llm.batched_generate(PROMPTS), strict=True):
        assert prompt not in text
        assert "<|" not in text


def test_answers_are_the_parsed_completions_of_formatted_prompts(toy_llm: BaseLLM) -> None:
    questions = [question for question, _ in split_rows("validation")[:12]]
    assert toy_llm.format_prompt(questions[0]) == PROMPTS[0]
    due = [parse_answer(text) for text in toy_llm.batched_generate(PROMPTS)]
    assert toy_llm.answer(*questions) == pytest.approx(due, nan_ok=True)


def test_sampling_draws_and_greedy_repeats(toy_llm: BaseLLM) -> None:
    assert toy_llm.batched_generate(PROMPTS) == toy_llm.batched_generate(PROMPTS)
    torch.manual_seed(0)
    [texts] = toy_llm.batched_generate(PROMPTS[:1], 20, temperature=3.0)
    assert len(set(texts)) > 5


@pytest.mark.parametrize(("number", "temperature"), [(2, 0), (0, 1), (None, -1)])
def test_what_cannot_be_drawn_is_refused(toy_llm: BaseLLM, number: int | None, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature|number"):
        toy_llm.batched_generate(PROMPTS, number, temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, "float16"])
def test_torch_dtype_is_the_dtype_of_the_weights(dtype: torch.dtype | str) -> None:
    llm = BaseLLM("toy", torch_dtype=dtype)
    assert {str(p.dtype) for p in llm.model.parameters()} == {f"torch.{str(dtype).removeprefix('torch.')}"}
    assert llm.batched_generate(PROMPTS[:2])


def test_training_gets_fp32_weights_whatever_the_checkpoint_is_stored_in() -> None:
    llm = BaseLLM("toy", use_fp32_for_training=True)
    assert {p.dtype for p in llm.model.parameters()} == {torch.float32}


def test_contradicting_keywords_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(PrecisionError):
        BaseLLM("no such base", use_fp32_for_training=True, torch_dtype=torch.float16)


def test_decoding_settings_of_the_base_are_left_out(blank_toy: BaseLLM, tmp_path: Path) -> None:
    shutil.copytree(find_base("toy"), tmp_path / "base")
    shipped = {"repetition_penalty": 5.0, "no_repeat_ngram_size": 2, "do_sample": True, "temperature": 2.0}
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(shipped))
    llm = BaseLLM(str(tmp_path / "base"), torch_dtype=torch.float32)
    assert llm.batched_generate(PROMPTS) == blank_toy.batched_generate(PROMPTS)


def test_an_unknown_base_is_refused(no_hub: object) -> None:
    with pytest.raises(BaseModelError, match=r"unknown base 'no-such-base'.*toy, smollm2-135m"):
        BaseLLM("no-such-base")
