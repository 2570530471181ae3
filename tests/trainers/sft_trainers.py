"""TRL's trainers on chat data over the toy, each with one thing that a test replaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sft_ref.harness.core.implementation import TaskRow

from .fine_tunes import BASE, LORA, TEXTS, TRAINING

SYSTEM = {"role": "system", "content": "units"}


def asked(question: str) -> list[dict[str, str]]:
    return [SYSTEM, {"role": "user", "content": question}]


def answered(answer: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": answer}]


def completions(rows: Sequence[TaskRow]) -> list[dict[str, Any]]:
    """Rows as TRL takes prompts and completions."""
    return [{"prompt": asked(question), "completion": answered(str(answer))} for question, answer in rows]


def make_sft_trainer(
    folder: Path, data: Sequence[dict[str, Any]], *, base: Any = BASE, lora: Any = LORA, **options: Any
) -> Any:
    """An SFTTrainer; options of `SFTTrainer`, and of `SFTConfig` for the rest."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    names = ("data_collator", "optimizers", "processing_class", "compute_loss_func", "callbacks")
    own = {name: options.pop(name) for name in names if name in options}
    return SFTTrainer(
        base,
        SFTConfig(str(folder), **{**TRAINING, "bf16": False, **options}),
        train_dataset=Dataset.from_list(list(data)),
        peft_config=LoraConfig(**lora) if lora else None,
        **own,
    )


def make_dpo_trainer(folder: Path, **options: Any) -> Any:
    """A DPOTrainer: the answer of the next row is the rejected one; options of `DPOConfig`."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    chosen = completions(TEXTS[:48])
    rejected = [each["completion"] for each in chosen[1:] + chosen[:1]]
    data = [
        {"prompt": each["prompt"], "chosen": each["completion"], "rejected": other}
        for each, other in zip(chosen, rejected, strict=True)
    ]
    arguments = DPOConfig(str(folder), **{**TRAINING, "bf16": False, **options})
    return DPOTrainer(BASE, args=arguments, train_dataset=Dataset.from_list(data), peft_config=LoraConfig(**LORA))


def by_padding(tokenizer: Any) -> Any:
    """A collator that masks every token that equals padding, and with it the end."""
    from transformers import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    return lambda rows: dict(collate([{"input_ids": row["input_ids"]} for row in rows]))


def all_masked(tokenizer: Any) -> Any:
    """A collator that masks every token."""
    collate = by_padding(tokenizer)

    def masked(rows: Any) -> Any:
        batch = collate(rows)
        return {**batch, "labels": batch["labels"].fill_(-100)}

    return masked
