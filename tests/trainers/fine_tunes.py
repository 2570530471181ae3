"""A small fine-tune by transformers' Trainer, sound or with a fault, and what the checks say of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from sft_ref import split_rows
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import plan_for
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.implementation import Implementation, TaskRow
from sft_ref.harness.evidence.in_process.task import task_of
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import reference_run_for
from sft_ref.integrations.transformers import TrainerImplementation
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.settings import Settings

BASE = str(find_base("toy"))
TEXTS: list[TaskRow] = [(question, f"That is {value!r}.") for question, value in split_rows("train")[:96]]
IGNORED = -100
FEW = 6
"""Steps that move every tensor: enough for a fault that needs no learning to show."""

LORA: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": "all-linear", "r": 8, "lora_alpha": 32}
TRAINING: dict[str, Any] = {
    "max_steps": FEW,
    "per_device_train_batch_size": 8,
    "learning_rate": 3e-3,
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
    "dataloader_pin_memory": False,
}


def prompt(_tokenizer: object, question: str) -> str:
    return f"Q: {question} A:"


def encode(tokenizer: Any, row: TaskRow) -> dict[str, list[int]]:
    question, answer = row
    asked = tokenizer(prompt(tokenizer, question))["input_ids"]
    due = [*tokenizer(f" {answer}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return {"input_ids": asked + due, "labels": [IGNORED] * len(asked) + due}


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])

    mask = torch.tensor([[1] * len(row["labels"]) + [0] * (longest - len(row["labels"])) for row in rows])
    return {"input_ids": padded("input_ids", 2), "attention_mask": mask, "labels": padded("labels", IGNORED)}


def trainer_maker(
    *,
    steps: int = 20,
    encode: Callable[[Any, TaskRow], dict[str, list[int]]] = encode,
    collate: Callable[[Sequence[dict[str, list[int]]]], dict[str, Any]] = collate,
) -> Callable[[Path, Sequence[TaskRow], Settings], Trainer]:
    """The function that a user writes; keywords are what a fault replaces."""

    def make_trainer(folder: Path, rows: Sequence[TaskRow], settings: Settings) -> Trainer:
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), LoraConfig(**LORA))
        own = {"max_steps": steps, "seed": settings.seed, "label_names": ["labels"]}
        arguments = TrainingArguments(str(folder), **{**TRAINING, **own})
        data = [encode(tokenizer, row) for row in rows]
        trainer = Trainer(model, arguments, train_dataset=data, data_collator=collate, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        return trainer

    return make_trainer


def implementation(**options: Any) -> TrainerImplementation:
    """The sound one; options replace its parts."""
    maker = options.pop("make_trainer", None) or trainer_maker()
    return TrainerImplementation(maker, "toy", **{"prompt": prompt, "max_new_tokens": 40, **options})


def results_of(
    made: Implementation,
    rows: Sequence[TaskRow] = TEXTS,
    *,
    judge: Any = None,
    claims: Sequence[str] | None = None,
    stages: Collection[str] = (),
    until_failure: bool = False,
) -> dict[str, Result]:
    """The result of each check, by its id: of some stages, or up to the first that fails, if that is enough."""
    task = task_of(rows, judge)
    checks = [each for each in CHECKS if not stages or each.stage in stages]
    found: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "own").mkdir()
        recorder = Recorder(made, path / "own", reference_run=lambda: reference_run_for(task, path), task=task)
        for result in run_in_stages(plan_for(made, checks, claims=claims), recorder):
            found[result.check.id] = result
            if until_failure and result.outcome is Outcome.FAIL:
                break
    return found


def not_passed(results: dict[str, Result]) -> dict[str, str]:
    """What neither passed nor was skipped, in words."""
    good = (Outcome.PASS, Outcome.ADVICE, Outcome.SKIPPED)
    return {
        name: f"{each.outcome}: {each.observed}, {each.expected}, {each.example}"
        for name, each in results.items()
        if each.outcome not in good
    }


def skipped(results: dict[str, Result]) -> dict[str, str]:
    """Why checks were skipped."""
    return {name: each.observed for name, each in results.items() if each.outcome is Outcome.SKIPPED}
