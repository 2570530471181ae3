"""Scripted answers come back from implementations of any convention; faults are told from those of the parser."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import torch
from given_model import GivenModel

from sft_ref import BaseLLM, Score, Settings
from sft_ref.harness.checks import shared
from sft_ref.harness.checks.in_process import generate, parse
from sft_ref.harness.checks.runner import plan
from sft_ref.harness.core.check import Level, Outcome, checks_in, in_order
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.implementation import Answerer, Batch, TrainingResult
from sft_ref.harness.core.numerals import find_numerals, to_number
from sft_ref.harness.evidence.in_process.answer_parts import ScriptedOutcome
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.generation_recorder import record_parser
from sft_ref.harness.recorders.in_process.invented import invent
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.reference.data import Row

SHARED = [each for each in shared.checks_of(ImplementationEvidence) if each.stage == "generate"]
CHECKS = in_order([*checks_in(generate), *SHARED, parse.answers_come_from_the_model])


class Odd:
    """Sound, and in nothing like the reference.

    It writes its prompts inside generation, decodes in a loop of its own, gives prompt and completion back together,
    and reads the last number of that.
    """

    def __init__(self, llm: BaseLLM) -> None:
        self.llm, self.model, self.tokenizer = llm, llm.model, llm.tokenizer

    def format_prompt(self, question: str) -> str:
        return question

    def write_prompt(self, question: str) -> str:
        return f"<|im_start|>user\nPlease: {question}<|im_end|>\n<|im_start|>assistant\nThe answer:"

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        texts = []
        for prompt in prompts:
            ids = self.tokenizer(self.write_prompt(prompt), return_tensors="pt")["input_ids"]
            new, past = ids, None
            for _ in range(24):
                with torch.inference_mode():
                    out = self.model(input_ids=new, past_key_values=past, use_cache=True)
                new, past = out.logits[:, -1:].argmax(-1), out.past_key_values
                ids = torch.cat([ids, new], dim=1)
                if new.item() == self.tokenizer.eos_token_id:
                    break
            texts.append(self.tokenizer.decode(ids[0], skip_special_tokens=True))
        return texts

    def parse_answer(self, text: str) -> float:
        found = re.findall(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", text.rpartition("The answer:")[2])
        return float(found[-1]) if found else math.nan

    def answer(self, *questions: str) -> list[float]:
        return [self.parse_answer(text) for text in self.batched_generate([*questions])]


class OddImplementation:
    """Trains on whole texts, nothing masked but padding, which is the end token too, on the right."""

    name, base, claims_contract = "odd", "toy", False

    def __init__(self, llm: BaseLLM, *, masked: bool) -> None:
        self.llm, self.masked = llm, masked

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        tokenizer, odd = self.llm.tokenizer, Odd(self.llm)
        prompts = [odd.write_prompt(question) for question, _ in rows]
        texts = [f"{prompt} {value}<|im_end|>" for prompt, (_, value) in zip(prompts, rows, strict=True)]
        batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["input_ids"] == tokenizer.pad_token_id, -100)
        if self.masked:
            for row, prompt in enumerate(prompts):
                labels[row, : len(tokenizer(prompt)["input_ids"])] = -100
        return Batch(batch["input_ids"], batch["attention_mask"], labels)

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        raise NotImplementedError

    def load(self, folder: Path) -> Odd:
        return Odd(self.llm)

    def test(self, answerer: object, rows: Sequence[Row]) -> Score:
        raise NotImplementedError


NOTHING = TrainingResult(Path("nowhere"), {}, ())


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole text"])
def test_an_odd_but_sound_implementation_fails_no_universal_check(
    blank_toy: BaseLLM, tmp_path: Path, masked: bool
) -> None:
    recorder = Recorder(OddImplementation(blank_toy, masked=masked), tmp_path, trained=NOTHING)
    results = [*run_in_stages(plan(CHECKS, claims_contract=False), recorder)]
    assert {result.check.id: result.observed for result in results if result.outcome is not Outcome.PASS} == {}


def test_a_blank_reference_passes_all(blank_toy: BaseLLM, tmp_path: Path) -> None:
    recorder = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING)
    results = [*run_in_stages(plan(CHECKS, claims_contract=True), recorder)]
    assert {result.check.id: result.observed for result in results if result.outcome is not Outcome.PASS} == {}


def test_a_parser_that_reads_nothing_is_no_fault_of_generation(blank_toy: BaseLLM, tmp_path: Path) -> None:
    recorder = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING)
    with mock.patch.object(blank_toy, "parse_answer", return_value=math.nan):
        results = [*run_in_stages(plan(CHECKS, claims_contract=True), recorder)]
    assert {result.outcome for result in results} == {Outcome.PASS}
    recorder = Recorder(GivenModel(blank_toy), tmp_path / "again", trained=NOTHING)
    with mock.patch.object(blank_toy, "parse_answer", side_effect=ValueError):
        results = [*run_in_stages(plan(CHECKS[:2], claims_contract=True), recorder)]
    assert {result.outcome for result in results} == {Outcome.PASS}


def test_an_answer_that_passes_the_parser_by_is_judged_by_its_number(blank_toy: BaseLLM, tmp_path: Path) -> None:
    def answer(*questions: str) -> list[float]:
        texts = blank_toy.batched_generate([*map(blank_toy.format_prompt, reversed(questions))])
        return [to_number(find_numerals(text)[0]) if find_numerals(text) else math.nan for text in texts]

    recorder = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING)
    with mock.patch.object(blank_toy, "answer", answer):
        results = [*run_in_stages([c for c in CHECKS if c.level is Level.UNIVERSAL], recorder)]
    assert [result.check.id for result in results if result.outcome is Outcome.FAIL] == ["GEN-007"]


def test_invented_questions_are_distinct_and_the_same_each_time() -> None:
    assert invent(20, seed=1) == invent(20, seed=1)
    assert len({*invent(20, seed=1)}) == 20
    assert {*invent(20, seed=1)} != {*invent(20, seed=2)}


def test_lines_are_written_as_the_implementation_supervises_them(blank_toy: BaseLLM, tmp_path: Path) -> None:
    scripting = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING).part("scripting")
    [line] = scripting.write([("Convert 3 kg to g.", 3000.1256)])
    assert (line.text, line.answer) == ("3000.126</answer>", "3000.126")
    prompt = blank_toy.tokenizer(blank_toy.format_prompt("Convert 3 kg to g."))["input_ids"]
    assert line.script.whole[: line.script.least] == tuple(prompt)
    assert line.script.target == line.script.whole[line.script.least :]
    scripting = Recorder(OddImplementation(blank_toy, masked=False), tmp_path / "odd", trained=NOTHING).part(
        "scripting"
    )
    [line] = scripting.write([("Convert 3 kg to g.", 3000.5)])
    assert line.answer == "3000.5"
    asked, answer = (
        decode(blank_toy.tokenizer, ids) for ids in (line.script.whole[: line.script.least], line.script.target)
    )
    assert asked.endswith("Convert 3 kg to g")
    assert answer == ".<|im_end|>\n<|im_start|>assistant\nThe answer: 3000.5<|im_end|>"


def test_what_reaches_the_parser_is_recorded_and_the_parser_is_put_back(blank_toy: BaseLLM) -> None:
    with record_parser(cast("Answerer", blank_toy)) as texts:
        assert blank_toy.parse_answer("1</answer>") == 1.0
    assert texts == ["1</answer>"]
    assert "parse_answer" not in vars(blank_toy)


def test_a_prompt_that_hides_its_question_is_a_finding(blank_toy: BaseLLM, tmp_path: Path) -> None:
    scripting = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING).part("scripting")
    lines = scripting.write([("Convert 3 kg to g.", 1.0)])
    with mock.patch.object(blank_toy, "format_prompt", lambda question: question[:9]), pytest.raises(Failure) as found:
        scripting.run(lines)
    assert found.value.observed == "the model gets the prompt 'Convert 3'"


def test_the_dtype_recorded_is_that_of_computing_not_of_storage(blank_toy: BaseLLM, tmp_path: Path) -> None:
    from sft_ref.reference.precision import POLICIES

    scripting = Recorder(GivenModel(blank_toy), tmp_path, trained=NOTHING).part("scripting")
    lines = scripting.write([("2 mm in m?", 1.0)])

    def record(policy: str) -> ScriptedOutcome:
        with mock.patch.object(blank_toy, "policy", replace(POLICIES[policy])):
            return cast("ScriptedOutcome", scripting.run(lines))

    assert record("fp32").dtype is torch.float32
    assert record("bf16-mixed").dtype is torch.bfloat16
