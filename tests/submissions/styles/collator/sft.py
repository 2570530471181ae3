import os
from dataclasses import dataclass
from typing import Any

import torch
from fire import Fire
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer, TrainingArguments, set_seed

from .base_llm import BaseLLM
from .data import Dataset, benchmark

ADAPTER_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sft_model")


def load() -> BaseLLM:
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ADAPTER_DIR)
    llm.model.eval()
    return llm


def format_example(prompt: str, answer: float) -> dict:
    return {"question": prompt.strip() + " <answer>", "answer": f"{round(answer, 3)}</answer>"}


def tokenize(tokenizer, question: str, answer: str) -> dict:
    prompt_ids = tokenizer(question, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return {"input_ids": prompt_ids + answer_ids, "labels": [-100] * len(prompt_ids) + answer_ids}


class TokenizedDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, data, format_fn):
        self.examples = [tokenize(tokenizer, **format_fn(*row)) for row in data.data]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> dict:
        return self.examples[i]


@dataclass
class Collator:
    pad_token_id: int

    def __call__(self, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [torch.tensor(row["input_ids"]) for row in batch]
        labels = [torch.tensor(row["labels"]) for row in batch]
        mask = [torch.ones_like(row) for row in ids]
        return {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
            "attention_mask": pad_sequence(mask, batch_first=True, padding_value=0),
            "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
        }


def train_model(output_dir: str = ADAPTER_DIR, epochs: int = 3, lr: float = 3e-3, seed: int = 42):
    set_seed(seed)
    llm = BaseLLM()
    config = LoraConfig(
        r=8,
        lora_alpha=32,
        lora_dropout=0.05,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM",
    )
    llm.model = get_peft_model(llm.model, config)
    trainer = Trainer(
        model=llm.model,
        args=TrainingArguments(
            output_dir=output_dir,
            num_train_epochs=epochs,
            learning_rate=lr,
            lr_scheduler_type="cosine",
            warmup_steps=10,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=2,
            remove_unused_columns=False,
            save_strategy="no",
            logging_steps=10,
            report_to=[],
        ),
        train_dataset=TokenizedDataset(llm.tokenizer, Dataset("train"), format_example),
        data_collator=Collator(llm.tokenizer.pad_token_id),
    )
    trainer.train()
    llm.model.save_pretrained(output_dir)
    test_model(output_dir)


def test_model(ckpt_path: str = ADAPTER_DIR):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path)
    llm.model.eval()
    res = benchmark(llm, Dataset("valid"), 100)
    print(f"{res.accuracy=}  {res.answer_rate=}")


if __name__ == "__main__":
    Fire({"train": train_model, "test": test_model})
