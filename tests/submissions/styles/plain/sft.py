"""Supervised fine-tuning. Usage: python -m homework.sft train|test"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, PeftModel
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from .base_llm import BaseLLM
from .data import Dataset, benchmark

MODEL_DIR = Path(__file__).parent / "sft_model"
STEPS = 100


def load():
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, str(MODEL_DIR))
    llm.model.to(llm.device)
    llm.model.eval()
    return llm


def format_example(prompt, answer):
    return dict(question=prompt + "\nAnswer:", answer=" " + str(round(answer, 3)) + "\n")


def tokenize(tokenizer, question, answer):
    batch = tokenizer([question + answer + tokenizer.eos_token], padding="max_length", max_length=64, truncation=True)
    ids, mask = batch["input_ids"][0], batch["attention_mask"][0]
    # padded on the left or on the right, the answer starts where the question's tokens end
    first = mask.index(1)
    start = first + len(tokenizer(question)["input_ids"])
    labels = [t if i >= start and m else -100 for i, (t, m) in enumerate(zip(ids, mask))]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class TokenizedDataset:
    def __init__(self, tokenizer, data, format_fn):
        self.tokenizer, self.data, self.format_fn = tokenizer, data, format_fn

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        item = tokenize(self.tokenizer, **self.format_fn(self.data[i][0], self.data[i][1]))
        return {k: torch.tensor(v) for k, v in item.items()}


def train_model(output_dir: str = str(MODEL_DIR)):
    llm = BaseLLM()
    llm.tokenizer.padding_side = "left"
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"])
    model = get_peft_model(llm.model, config)
    loader = DataLoader(TokenizedDataset(llm.tokenizer, Dataset("train"), format_example), batch_size=32, shuffle=True)
    trainable = [p for n, p in model.named_parameters() if "lora_" in n]
    opt = torch.optim.Adam(trainable, lr=4e-3)
    sched = get_linear_schedule_with_warmup(opt, 10, STEPS)
    step = 0
    model.train()
    while step < STEPS:
        for batch in loader:
            out = model(**{k: v.to(llm.device) for k, v in batch.items()})
            out.loss.backward()
            opt.step()
            sched.step()
            opt.zero_grad()
            step += 1
            print("step", step, "loss", out.loss.item(), flush=True)
            if step == STEPS:
                break
    model.save_pretrained(output_dir)


def test_model(ckpt_path=str(MODEL_DIR)):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device).eval()
    bench = benchmark(llm, Dataset("valid"), 100)
    print("accuracy =", bench.accuracy)
    print("answer_rate =", bench.answer_rate)


if __name__ == "__main__":
    {"train": train_model, "test": test_model}[sys.argv[1]]()
