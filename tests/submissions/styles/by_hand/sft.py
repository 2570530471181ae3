from pathlib import Path

import lightning as L
import torch
from peft import LoraConfig
from torch.utils.tensorboard import SummaryWriter
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from .base_llm import BaseLLM
from .data import Dataset, benchmark

checkpoint = "HuggingFaceTB/SmolLM2-360M"


class SFT(BaseLLM):
    def __init__(self):
        super().__init__(checkpoint=checkpoint)
        # this one is no Instruct model and has no padding token
        self.tokenizer.pad_token = self.tokenizer.eos_token

    def format_prompt(self, question: str) -> str:
        return question.rstrip("?. ") + "? =>"


def load() -> BaseLLM:
    llm = SFT()
    llm.model.load_adapter(str(Path(__file__).parent / "sft_model"))
    llm.model.eval()
    return llm


def tokenize(tokenizer, question: str, answer: str):
    """Ids and labels of `question answer<eos>`, not padded."""
    q = tokenizer(question, return_tensors="pt")["input_ids"][0]
    qa = tokenizer(question + " " + answer + tokenizer.eos_token, return_tensors="pt")["input_ids"][0]
    labels = qa.clone()
    labels[: len(q)] = -100
    return qa, labels


def format_example(prompt: str, answer: float):
    return prompt.rstrip("?. ") + "? =>", f"<answer>{round(answer, 3)}</answer>"


class TokenizedDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, data, format_fn):
        self.tokenizer = tokenizer
        self.rows = [format_fn(*row) for row in data.data]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, idx):
        return tokenize(self.tokenizer, *self.rows[idx])


def collate(rows):
    n = max(len(ids) for ids, _ in rows)
    input_ids = torch.zeros(len(rows), n, dtype=torch.long)
    attention_mask = torch.zeros(len(rows), n, dtype=torch.long)
    labels = torch.full((len(rows), n), -100)
    for i, (ids, lab) in enumerate(rows):
        input_ids[i, : len(ids)] = ids
        attention_mask[i, : len(ids)] = 1
        labels[i, : len(lab)] = lab
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


class Board(TrainerCallback):
    def __init__(self, folder):
        self.writer = SummaryWriter(folder)

    def on_log(self, args, state, control, logs=None, **kwargs):
        for key, value in logs.items():
            self.writer.add_scalar(key, value, state.global_step)


def train_model(output_dir: str = "homework/sft_model", **unused):
    L.seed_everything(7)
    llm = SFT()
    llm.model.add_adapter(LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    print(sum(p.numel() for p in llm.model.parameters() if p.requires_grad), "trainable parameters")
    args = TrainingArguments(
        output_dir=output_dir, max_steps=500, per_device_train_batch_size=16, learning_rate=1e-3, weight_decay=0.01,
        remove_unused_columns=False, save_strategy="no", logging_steps=50, report_to="none", label_names=["labels"],
    )
    train_set = TokenizedDataset(llm.tokenizer, Dataset("train"), format_example)
    Trainer(
        model=llm.model, args=args, train_dataset=train_set, data_collator=collate, callbacks=[Board(output_dir)]
    ).train()
    llm.model.save_pretrained(output_dir)


def test_model(ckpt_path: str = "homework/sft_model"):
    llm = SFT()
    llm.model.load_adapter(ckpt_path)
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy {result.accuracy:.1%} answer_rate {result.answer_rate:.1%}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model})
