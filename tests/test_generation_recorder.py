"""What is recorded is what passes, however the model is wrapped and called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import torch

from sft_ref import BaseLLM, format_prompt
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.instruments.generation_recorder import (
    Ids,
    ModelNotCalled,
    find_transformer,
    record_generation,
    record_prompt,
    scripted_model,
)
from sft_ref.harness.instruments.scripted.tracked_rows import Script

QUESTIONS = ("Convert 3 kg to g.", "How many seconds are there in 2 hours?")


def as_answerer(llm: BaseLLM) -> Answerer:
    return cast("Answerer", llm)  # overloads keep mypy from seeing it


class Loop:
    """An answerer of few lines, that generates by hand, with or without a cache, which may be filled in pieces."""

    def __init__(self, llm: BaseLLM, *, cache: bool, piece: int | None = None) -> None:
        self.model, self.tokenizer, self.cache, self.piece = llm.model, llm.tokenizer, cache, piece
        self.heard: list[str] = []

    def format_prompt(self, question: str) -> str:
        return format_prompt(question)

    def parse_answer(self, text: str) -> float:
        self.heard.append(text)
        return float(len(text))

    @torch.inference_mode()
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        batch = self.tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        fed, past = ids, None
        while self.piece and fed.shape[1] > self.piece:
            seen = mask[:, : ids.shape[1] - fed.shape[1] + self.piece]
            out = self.model(input_ids=fed[:, : self.piece], attention_mask=seen, past_key_values=past, use_cache=True)
            fed, past = fed[:, self.piece :], out.past_key_values
        for _ in range(6):
            out = self.model(input_ids=fed, attention_mask=mask, past_key_values=past, use_cache=self.cache)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            ids, mask = torch.cat([ids, token], 1), torch.cat([mask, torch.ones_like(token)], 1)
            fed, past = (token, out.past_key_values) if self.cache else (ids, None)
        return list(self.tokenizer.batch_decode(ids[:, -6:]))

    def answer(self, *questions: str) -> list[float]:
        return [self.parse_answer(text) for text in self.batched_generate([*map(self.format_prompt, questions)])]


@pytest.fixture(params=["generate", "loop", "loop without cache"])
def answerer(request: pytest.FixtureRequest, toy_llm: BaseLLM) -> Answerer:
    return as_answerer(toy_llm) if request.param == "generate" else Loop(toy_llm, cache=request.param == "loop")


def ids_of(llm: Answerer | BaseLLM, text: str) -> Ids:
    return tuple(llm.tokenizer(text)["input_ids"])


def test_prompts_are_seen_without_their_padding(answerer: Answerer) -> None:
    due = [ids_of(answerer, format_prompt(question)) for question in QUESTIONS]
    assert [record_prompt(answerer, question) for question in QUESTIONS] == due
    assert sorted(tuple(row.prompt_ids) for row in record_generation(answerer, *QUESTIONS).generations) == sorted(due)


def test_new_tokens_texts_and_answers_are_those_of_a_plain_call(answerer: Answerer) -> None:
    plain = answerer.answer(QUESTIONS[0])
    [text] = answerer.batched_generate([format_prompt(QUESTIONS[0])])
    seen = record_generation(answerer, QUESTIONS[0])
    assert seen.answers == plain
    assert seen.texts == [text]
    skip = isinstance(answerer, BaseLLM)
    assert answerer.tokenizer.decode(seen.generations[0].new_token_ids, skip_special_tokens=skip) == text


@pytest.mark.parametrize("piece", [1, 2, 5])
def test_a_prompt_that_is_fed_in_pieces_is_known_whole(toy_llm: BaseLLM, piece: int) -> None:
    answerer = Loop(toy_llm, cache=True, piece=piece)
    due = [ids_of(answerer, format_prompt(question)) for question in QUESTIONS]
    assert [record_prompt(answerer, question) for question in QUESTIONS] == due
    target = ids_of(answerer, " 12345")
    scripts = [
        Script(question, (*ids, *target), target, len(ids)) for question, ids in zip(QUESTIONS, due, strict=True)
    ]
    recorded = record_generation(answerer, *QUESTIONS, scripts=scripts)
    assert [(tuple(row.prompt_ids), row.question) for row in recorded.generations] == [(due[0], 0), (due[1], 1)]
    assert all("12345" in text for text in recorded.texts)


def test_scripts_are_written_row_by_row_and_others_left_alone(answerer: Answerer) -> None:
    free = record_generation(answerer, QUESTIONS[1]).texts
    script = ids_of(answerer, "7.25</answer>")[:6]
    seen = record_generation(answerer, *QUESTIONS, scripts=[Script(QUESTIONS[0], (), script)])
    assert seen.texts[0].startswith(str(answerer.tokenizer.decode(list(script))))
    assert [seen.texts[1]] == free


def test_scripts_hold_outside_answer_too(toy_llm: BaseLLM) -> None:
    prompt = format_prompt(QUESTIONS[0])
    script = Script(QUESTIONS[0], (), ids_of(toy_llm, "-1</answer>"))
    with scripted_model(toy_llm.model, toy_llm.tokenizer, [script]):
        assert toy_llm.generate(prompt) == "-1</answer>"
    assert toy_llm.generate(prompt) != "-1</answer>"


@pytest.fixture
def hooks(toy_llm: BaseLLM) -> Iterator[None]:
    yield
    inner = find_transformer(toy_llm.model)
    assert not inner.base_model._forward_pre_hooks
    assert not inner.get_output_embeddings()._forward_hooks
    assert "parse_answer" not in vars(toy_llm)


@pytest.mark.usefixtures("hooks")
def test_no_hook_is_left_also_after_an_error(toy_llm: BaseLLM) -> None:
    record_prompt(as_answerer(toy_llm), QUESTIONS[0])
    record_generation(as_answerer(toy_llm), QUESTIONS[0])
    with pytest.raises(AttributeError):
        record_generation(as_answerer(toy_llm), None)  # type: ignore[arg-type]


def test_a_question_that_the_model_is_not_asked_says_so(toy_llm: BaseLLM) -> None:
    class LookedUp(Loop):
        def answer(self, *questions: str) -> list[float]:
            return [1.0 for _ in questions]

    with pytest.raises(ModelNotCalled, match="without a forward"):
        record_prompt(LookedUp(toy_llm, cache=True), QUESTIONS[0])


def test_a_model_that_is_none_of_transformers_cannot_be_watched(toy_llm: BaseLLM) -> None:
    other = Loop(toy_llm, cache=True)
    other.model = torch.nn.Linear(1, 1)
    with pytest.raises(Unavailable, match="Linear"):
        record_generation(other, QUESTIONS[0])
