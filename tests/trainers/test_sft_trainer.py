"""TRL's SFTTrainer behind the protocol, on chat data: the sound one passes, faults are named at their stage.

`nox -s trl` has the environment for these tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.implementation import TaskRow
from sft_ref.integrations.trl import SFTTrainerImplementation
from sft_ref.reference.settings import Settings

from .fine_tunes import BASE, FEW, TEXTS, not_passed, results_of, skipped
from .sft_trainers import all_masked, asked, by_padding, completions, make_sft_trainer
from .test_trainer import load_scaled

pytest.importorskip("trl", reason="the extra trl is not installed: nox -s trl")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of transformers, for what TRL calls
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def prompt(tokenizer: Any, question: str, *, header: bool = True) -> str:
    return str(tokenizer.apply_chat_template(asked(question), tokenize=False, add_generation_prompt=header))


def trainer_maker(*, steps: int = FEW, collator: Callable[[Any], Any] = lambda tokenizer: None) -> Any:
    """The function that a user writes; keywords are what a fault replaces."""
    from transformers import AutoTokenizer

    def make_trainer(folder: Path, rows: Sequence[TaskRow], settings: Settings) -> Any:
        collate = collator(AutoTokenizer.from_pretrained(BASE))
        data = completions(rows)
        return make_sft_trainer(folder, data, max_steps=steps, seed=settings.seed, data_collator=collate)

    return make_trainer


@pytest.mark.slow
def test_a_sound_sft_trainer_passes_every_check() -> None:
    made = SFTTrainerImplementation(trainer_maker(steps=20), "toy", prompt=prompt, max_new_tokens=40)
    results = results_of(made, claims=("precision",))
    assert not_passed(results) == {}
    assert skipped(results).keys() == {"TRN-006", "TRN-007", "ART-007", "PRS-003", "SCR-001", "SCR-004"}


def test_without_a_prompt_of_ones_own_the_chat_template_asks() -> None:
    made = SFTTrainerImplementation(trainer_maker(), "toy")
    [first] = made.training_batch(TEXTS[:1]).input_ids.tolist()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    text = tokenizer.decode(first)
    assert text == prompt(tokenizer, TEXTS[0][0]) + TEXTS[0][1] + "<|im_end|>\n"


@pytest.mark.parametrize(
    ("first", "options"),
    [
        ("PRM-003", {"prompt": lambda tokenizer, question: prompt(tokenizer, question, header=False)}),
        ("TOK-004", {"collator": all_masked}),
        ("TOK-005", {"collator": by_padding}),
    ],
    ids=["without the header of the answer", "all masked", "end masked, for it is padding"],
)
def test_a_fault_of_the_texts_is_the_first_to_be_named(first: str, options: dict[str, Any]) -> None:
    collator = options.pop("collator", lambda tokenizer: None)
    made = SFTTrainerImplementation(trainer_maker(collator=collator), "toy", **{"prompt": prompt, **options})
    results = results_of(made, until_failure=True)
    assert [name for name, each in results.items() if each.outcome is Outcome.FAIL] == [first], not_passed(results)


def test_another_scale_at_load_is_named() -> None:
    made = SFTTrainerImplementation(trainer_maker(), "toy", prompt=prompt, load=load_scaled)
    results = results_of(made, stages=["load"], until_failure=True)
    assert [name for name, each in results.items() if each.outcome is Outcome.FAIL] == ["LOD-002"], not_passed(results)
