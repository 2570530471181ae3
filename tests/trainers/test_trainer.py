"""A bare Trainer behind the protocol, on texts: sound ones pass, faults are named at their stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sft_ref.errors import TrainingError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.implementation import TaskRow, TrainingResult
from sft_ref.integrations.transformers import TrainerImplementation
from sft_ref.reference.data import Score
from sft_ref.reference.settings import Settings

from .fine_tunes import (
    BASE,
    FEW,
    IGNORED,
    TEXTS,
    collate,
    encode,
    implementation,
    not_passed,
    prompt,
    results_of,
    skipped,
    trainer_maker,
)


def own_test(answerer: Any, rows: Any) -> Score:
    answers = answerer.answer(*[question for question, _ in rows])
    right = sum(answer == truth for answer, (_, truth) in zip(answers, rows, strict=True))
    return Score(right / len(rows), sum(map(bool, answers)) / len(rows), len(rows))


@pytest.mark.slow
def test_a_sound_trainer_on_texts_passes_every_check() -> None:
    results = results_of(implementation(test=own_test), claims=("precision",))
    assert not_passed(results) == {}
    assert skipped(results).keys() == {"TRN-006", "TRN-007", "ART-007", "PRS-003"}
    assert "PRM-004" not in results


def without_end(tokenizer: Any, row: TaskRow) -> dict[str, list[int]]:
    encoded = encode(tokenizer, row)
    return {**encoded, "labels": [*encoded["labels"][:-1], IGNORED]}


def unlabelled(tokenizer: Any, row: TaskRow) -> dict[str, list[int]]:
    encoded = encode(tokenizer, row)
    return {**encoded, "labels": [IGNORED] * len(encoded["labels"])}


def cut(tokenizer: Any, row: TaskRow) -> dict[str, list[int]]:
    encoded = encode(tokenizer, row)
    return {name: ids[:-4] for name, ids in encoded.items()}


def load_scaled(folder: Path) -> tuple[Any, Any]:
    answerer = TrainerImplementation(trainer_maker(), BASE, prompt=prompt).load(folder)
    for layer in answerer.model.modules():
        if hasattr(layer, "lora_A"):
            layer.scaling["default"] *= 4
    return answerer.model, answerer.tokenizer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "options"),
    [
        ("PRM-003", {"prompt": lambda _tokenizer, question: f"Q: {question}"}),
        ("PRM-003", {"prompt": lambda _tokenizer, question: f"Question: {question} A:"}),
        ("TOK-004", {"make_trainer": trainer_maker(steps=FEW, encode=unlabelled)}),
        ("TOK-006", {"make_trainer": trainer_maker(steps=FEW, encode=cut)}),
        ("TOK-007", {"make_trainer": trainer_maker(steps=FEW, encode=without_end)}),
    ],
)
def test_a_fault_of_the_texts_is_the_first_to_be_named(first: str, options: dict[str, Any]) -> None:
    made = implementation(**{"make_trainer": trainer_maker(steps=FEW), **options})
    results = results_of(made, until_failure=True)
    assert [name for name, each in results.items() if each.outcome is Outcome.FAIL] == [first], not_passed(results)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "first", "options"),
    [
        ("load", "LOD-002", {"load": load_scaled}),
        ("generate", "GEN-007", {"max_new_tokens": 4}),
        ("parse", "PRS-001", {"parse": lambda text: text.upper()[:4]}),
        ("parse", "PRS-002", {"parse": lambda text: text if len(text) > 3 else None}),
    ],
)
def test_a_fault_behind_training_is_named_at_its_stage(stage: str, first: str, options: dict[str, Any]) -> None:
    made = implementation(make_trainer=trainer_maker(steps=FEW), **options)
    results = results_of(made, stages=[stage], until_failure=True)
    assert [name for name, each in results.items() if each.outcome is Outcome.FAIL] == [first], not_passed(results)


@pytest.mark.slow
def test_without_a_judge_of_answers_losses_decide() -> None:
    made = implementation(make_trainer=trainer_maker(steps=FEW), test=own_test)
    results = results_of(made, judge="loss", stages=["load", "parse", "score"])
    assert not_passed(results) == {}
    assert results["LOD-003"].outcome is Outcome.PASS
    judged = "answers are judged by their loss alone: give a judge of answers"
    assert {name for name, reason in skipped(results).items() if reason == judged} == {
        "PRS-001",
        "PRS-004",
        "SCR-001",
        "SCR-002",
        "SCR-004",
    }


@pytest.mark.slow
def test_what_is_not_given_is_skipped_with_what_to_give() -> None:
    class Reticent(TrainerImplementation):
        def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
            whole = super().train(folder, rows, settings)
            return TrainingResult(whole.folder, whole.adapter, (), settings=whole.settings)

    made = Reticent(trainer_maker(steps=FEW), "toy", prompt=prompt)
    results = results_of(made, stages=["train", "artifact", "load", "score"], claims=("precision",))
    assert {name: reason.partition(": ")[2] for name, reason in skipped(results).items() if ": give " in reason} == {
        "TRN-002": "give TrainingResult.losses",
        "TRN-005": "give TrainingResult.changed",
        "TRN-006": "give the implementation a method gradients",
        "TRN-007": "give the implementation a method trainables",
        "TRN-011": "give TrainingResult.logits, or forward",
        "ART-005": "give TrainingResult.scalings",
        "LOD-005": "give TrainingResult.dtypes",
        "SCR-001": "give the implementation a method test",
        "SCR-004": "give the implementation a method test",
    }
    assert results["TRN-004"].outcome is Outcome.PASS
    assert results["ART-009"].outcome is Outcome.PASS
    assert not [name for name, each in results.items() if each.outcome in (Outcome.FAIL, Outcome.ERROR)]


def test_rows_that_are_packed_are_refused(tmp_path: Path) -> None:
    made = implementation(make_trainer=trainer_maker(collate=lambda rows: collate(rows[:1])))
    with pytest.raises(TrainingError, match="makes 1 rows from 4, or no labels; turn packing off"):
        made.training_batch(TEXTS[:4])
