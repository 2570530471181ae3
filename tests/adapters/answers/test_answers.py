"""Base, factor, prompt and end are accused by experiments alone, and what these cannot tell is not called sound."""

import json
from pathlib import Path

import pytest

from sft_ref.harness.checks.adapter.base_identity import ALIGNED
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.recorders.folder.answers import examine
from sft_ref.harness.recorders.folder.answers.evaluator import ModelEvaluator
from sft_ref.harness.recorders.folder.answers.experiments import AdapterExperiments
from sft_ref.harness.recorders.folder.answers.wording import as_literal
from sft_ref.harness.verdict.diagnosis import coverage_of, status_of, suspects_of
from sft_ref.io.rows.forms import read_rows
from sft_ref.reference.data import split_rows

from .conftest import (
    CHAT,
    TAGGED,
    Examine,
    Task,
    at_other_places,
    base_model,
    load,
    results_of,
    tokenizer,
    train,
    with_noise,
)

STAGES = ("base identity", "scaling", "prompt", "generate")


def failed(results: dict[str, Result]) -> set[str]:
    return {name for name, each in results.items() if each.outcome is Outcome.FAIL}


def status(results: dict[str, Result]) -> Status:
    found = list(results.values())
    return status_of(suspects_of(found), coverage_of(found, STAGES), broke=False)


@pytest.mark.parametrize("prompt", [CHAT, None])
def test_a_sound_chat_adapter_is_shown_at_all_stages(chat: Task, examined: Examine, prompt: str | None) -> None:
    _, results = examined(load(chat.folder), prompt=prompt, data=chat.data)
    assert status(results) is Status.SOUND


def test_a_sound_adapter_of_numbers_is_shown_at_all_stages(number: Task, examined: Examine) -> None:
    _, results = examined(load(number.folder), prompt=TAGGED, data=number.data)
    assert status(results) is Status.SOUND


def test_a_token_of_the_rows_without_an_embedding_is_named_and_nothing_is_asked(number: Task) -> None:
    own = tokenizer()
    own.add_tokens([f"<|new {n}|>" for n in range(8)] + ["<answer>"])
    own.pad_token = "<|new 7|>"  # padding needs no row
    found = examine(
        load(number.folder), own, prompt=TAGGED, rows=read_rows(number.data, prompt=TAGGED), chat_template=None
    )
    assert found.unavailable.startswith("the token '<answer>' has the id 770, and the embedding has 768 rows; save")


def test_a_padding_token_needs_no_embedding(number: Task) -> None:
    own = tokenizer()
    own.add_tokens([f"<|new {n}|>" for n in range(8)])
    own.pad_token = "<|new 7|>"
    found = examine(
        load(number.folder), own, prompt=TAGGED, rows=read_rows(number.data, prompt=TAGGED), chat_template=None
    )
    assert not found.unavailable


def test_prompts_and_completions_need_no_prompt(tagged_text: Task, examined: Examine) -> None:
    _, results = examined(load(tagged_text.folder), prompt=None, data=tagged_text.data)
    assert status(results) is Status.SOUND


@pytest.mark.parametrize("factor", [4, 1 / 4])
def test_an_edited_alpha_is_named(chat: Task, examined: Examine, factor: float) -> None:
    found, results = examined(load(chat.folder, lora_alpha=32 * factor), prompt=CHAT, data=chat.data)
    assert failed(results) == {"SCL-201"}
    assert found.chosen[1] == 1 / factor
    assert f"{1 / factor:g} times it" in results["SCL-201"].observed
    assert "use_rslora" not in results["SCL-201"].observed


def test_a_lost_flag_of_rslora_is_named(chat: Task, examined: Examine) -> None:
    trained = 32 / 8  # as alpha / sqrt(r)
    model = load(chat.folder, lora_alpha=trained * 8**0.5, use_rslora=False)
    _, results = examined(model, prompt=CHAT, data=chat.data)
    assert failed(results) == {"SCL-201"}
    assert "use_rslora is false, and was the opposite in training" in results["SCL-201"].observed


def test_a_flag_of_rslora_that_was_not_trained_is_named(chat: Task, examined: Examine) -> None:
    _, results = examined(load(chat.folder, use_rslora=True), prompt=CHAT, data=chat.data)
    assert failed(results) == {"SCL-201"}
    assert "use_rslora is true, and was the opposite in training" in results["SCL-201"].observed


@pytest.mark.parametrize(("steps", "factor"), [(4, 1 / 4), (12, 2)])
def test_an_undertrained_adapter_is_neither_accused_nor_shown(
    chat: Task, examined: Examine, steps: int, factor: float
) -> None:
    rows = [(q, f"That is {value!r}.") for q, value in split_rows("train")[:128]]
    _, results = examined(train(CHAT, rows, steps, lora_alpha=32 * factor), prompt=CHAT, data=chat.data)
    assert not failed(results)
    assert results["SCL-201"].outcome is Outcome.SKIPPED
    assert status(results) is Status.NOT_SHOWN


def test_another_base_is_not_called_sound_and_is_among_what_remains(chat: Task, examined: Examine) -> None:
    model = load(chat.folder, at_other_places(base_model()))
    _, results = examined(model, prompt=CHAT, data=chat.data)
    assert not failed(results)
    assert status(results) is Status.NOT_SHOWN
    assert "0 of 24 answers are right" in results["BAS-201"].observed
    assert "another base, or on different texts" in results["BAS-201"].observed


def test_a_relative_of_the_base_is_not_called_its_base(chat: Task, examined: Examine) -> None:
    _, results = examined(load(chat.folder, with_noise(base_model(), 0.3)), prompt=CHAT, data=chat.data)
    assert "BAS-201" not in failed(results)
    assert status(results) is Status.NOT_SHOWN


def test_rows_of_another_kind_accuse_nothing(chat: Task, examined: Examine, tmp_path: Path) -> None:
    rows = [[f"Say {n} twice", f"ok {n} {n}"] for n in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    _, results = examined(load(chat.folder), prompt=CHAT, data=tmp_path / "rows.json")
    assert not failed(results)
    assert status(results) is Status.NOT_SHOWN


def test_a_prompt_without_the_header_is_named(chat: Task, examined: Examine) -> None:
    prompt = CHAT.replace("<|im_start|>assistant\n", "")
    _, results = examined(load(chat.folder), prompt=prompt, data=chat.data)
    assert "PRM-201" in failed(results) <= {"PRM-201", "PRM-202"}
    assert "24 of 24 with the chat template" in results["PRM-201"].observed
    assert r"the chat template with '<|im_start|>assistant\n'" in results["PRM-201"].example


def test_a_wrong_prompt_and_a_lost_flag_are_both_named(chat: Task, examined: Examine) -> None:
    prompt = CHAT.replace("<|im_start|>assistant\n", "")
    _, results = examined(load(chat.folder, use_rslora=True), prompt=prompt, data=chat.data)
    assert {"PRM-201", "SCL-201"} <= failed(results) <= {"PRM-201", "PRM-202", "SCL-201"}


def test_settings_of_the_base_that_lose_answers_are_named(chat: Task, examined: Examine) -> None:
    model = load(chat.folder)
    model.get_base_model().generation_config.repetition_penalty = 5.0
    _, results = examined(model, prompt=CHAT, data=chat.data)
    assert failed(results) == {"GEN-201"}
    assert "repetition_penalty=5.0" in results["GEN-201"].observed


def test_an_end_that_does_not_stop_generation_is_named(chat: Task, tmp_path: Path) -> None:
    model, tok = load(chat.folder), tokenizer()
    model.get_base_model().generation_config.eos_token_id = 0
    tok.eos_token = "<|endoftext|>"
    found = examine(model, tok, prompt=CHAT, rows=read_rows(chat.data), chat_template=tok.chat_template)
    results = results_of(found, tmp_path / "evidence.safetensors")
    assert failed(results) == {"GEN-202"}
    assert "are followed by '<|im_end|>', and generation stops at '<|endoftext|>'" in results["GEN-202"].observed


def test_without_rows_nothing_is_shown_and_the_reason_is_given(chat: Task, examined: Examine) -> None:
    _, results = examined(load(chat.folder), prompt=CHAT, data=None)
    assert status(results) is Status.NOT_SHOWN
    assert {each.observed for name, each in results.items() if name != "PRM-202"} == {"no --data was given"}


def test_pairs_without_a_prompt_or_a_template_cannot_be_asked(number: Task, examined: Examine) -> None:
    found, results = examined(load(number.folder), prompt=None, data=number.data, template=False)
    assert found.unavailable == "the format of the prompts is unknown: give --prompt"
    assert status(results) is Status.NOT_SHOWN


def test_experiments_leave_the_adapter_as_it_was(tagged_text: Task) -> None:
    model = load(tagged_text.folder)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = read_rows(tagged_text.data)
    wording = as_literal(rows, tokenizer())
    assert wording
    tried = AdapterExperiments(ModelEvaluator(model, tokenizer()), rows, [wording])
    scalings = [dict(layer.scaling) for layer in tried.factors.layers]
    tried.choose()
    assert tried.align(tried.first).ratio > ALIGNED
    assert [dict(layer.scaling) for layer in tried.factors.layers] == scalings
    for name, tensor in model.state_dict().items():
        assert tensor.equal(before[name]), name
