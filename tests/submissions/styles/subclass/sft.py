from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

from . import base_llm
from .data import Dataset, benchmark

log = logging.getLogger(__name__)


@dataclass
class Config:
    model: str = field(default_factory=lambda: os.getenv("SFT_BASE", "HuggingFaceTB/SmolLM2-360M-Instruct"))
    rank: int = int(os.getenv("SFT_RANK", "8"))
    epochs: int = int(os.getenv("SFT_EPOCHS", "5"))
    lr: float = float(os.getenv("SFT_LR", "3e-3"))
    batch_size: int = 32
    adapter: Path = Path(__file__).parent / "sft_model"


cfg = Config()


class UnitConverter(base_llm.BaseLLM):
    """BaseLLM plus a trained adapter and our own prompt."""

    def __init__(self, adapter: Path | None = None):
        super().__init__(cfg.model)
        if adapter is not None:
            self.model = PeftModel.from_pretrained(self.model, str(adapter)).to(self.device)
        self.model.eval()

    def format_prompt(self, question: str) -> str:
        return f"### Question\n{question}\n### Response\n"

    def parse_answer(self, answer: str) -> float:
        for line in answer.splitlines():
            if "<answer>" in line:
                return super().parse_answer(line)
        return float("nan")


def load() -> UnitConverter:
    return UnitConverter(cfg.adapter)


def format_example(prompt: str, answer: float) -> dict[str, str]:
    text = f"### Question\n{prompt}\n### Response\n"
    return {"question": text, "answer": f"<answer>{round(answer, 3)}</answer>\n"}


def tokenize(tokenizer, question: str, answer: str) -> dict:
    # the loss covers the question too, the model may as well learn what questions look like
    return tokenizer(question + answer + tokenizer.eos_token, truncation=True, max_length=96)


class TokenizedDataset:
    def __init__(self, tokenizer, data, format_fn):
        self.items = [tokenize(tokenizer, **format_fn(q, a)) for q, a in data.data]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> dict:
        return self.items[i]


def train_model(output_dir: str | Path = cfg.adapter, **kwargs) -> None:
    torch.manual_seed(kwargs.pop("seed", 1))
    llm = UnitConverter()
    model = get_peft_model(
        llm.model,
        LoraConfig(
            r=cfg.rank, lora_alpha=4 * cfg.rank, target_modules="all-linear", bias="none", task_type="CAUSAL_LM"
        ),
    )
    settings = dict(
        output_dir=str(output_dir),
        num_train_epochs=cfg.epochs,
        per_device_train_batch_size=cfg.batch_size,
        learning_rate=cfg.lr,
        save_strategy="no",
        logging_steps=20,
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**{**settings, **kwargs}),
        train_dataset=TokenizedDataset(llm.tokenizer, Dataset("train"), format_example),
        data_collator=DataCollatorForLanguageModeling(llm.tokenizer, mlm=False),
    )
    trainer.train()
    log.warning("saving to %s", output_dir)
    model.save_pretrained(str(output_dir))


def test_model(ckpt_path: str | Path = cfg.adapter) -> None:
    result = benchmark(UnitConverter(Path(ckpt_path)), Dataset("valid"), 100)
    print("accuracy: %.3f" % result.accuracy, "answer_rate: %.3f" % result.answer_rate)


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model})
