import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from tqdm import tqdm

from .base_llm import BaseLLM
from .data import Dataset, benchmark

HERE = Path(__file__).resolve().parent


class LoraLinear(torch.nn.Module):
    def __init__(self, linear, rank=8, alpha=16):
        super().__init__()
        self.linear, self.scale = linear, alpha / rank
        self.down = torch.nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.up = torch.nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.down.T) @ self.up.T


def add_lora(model):
    for p in model.parameters():
        p.requires_grad = False
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                if isinstance(linear, torch.nn.Linear):
                    setattr(part, name, LoraLinear(linear))
    return model


def load(folder=HERE / "sft_model"):
    llm = BaseLLM()
    add_lora(llm.model)
    tensors = load_file(Path(folder) / "lora.safetensors")
    result = llm.model.load_state_dict(tensors, strict=False)
    assert not result.unexpected_keys and tensors
    llm.model.to(llm.device).eval()
    return llm


def format_example(prompt, answer):
    return {"question": f"Question: {prompt}\nAnswer:", "answer": f" <answer>{answer:.3f}</answer>"}


def tokenize(tokenizer, question, answer, max_length=160):
    q = tokenizer(question).input_ids
    a = tokenizer(answer + tokenizer.eos_token).input_ids
    ids = (q + a)[:max_length]
    labels = ([-100] * len(q) + a)[:max_length]
    return {"input_ids": ids, "labels": labels}


class TokenizedDataset:
    def __init__(self, tokenizer, data, format_fn=format_example):
        self.tokenizer, self.data, self.format_fn = tokenizer, data, format_fn

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        question, answer = self.data[i]
        return tokenize(self.tokenizer, **self.format_fn(question, answer))

    def collate(self, rows):
        longest = max(len(r["input_ids"]) for r in rows)
        batch = {"input_ids": [], "attention_mask": [], "labels": []}
        for r in rows:
            gap = longest - len(r["input_ids"])
            batch["input_ids"].append(r["input_ids"] + [self.tokenizer.pad_token_id] * gap)
            batch["attention_mask"].append([1] * len(r["input_ids"]) + [0] * gap)
            batch["labels"].append(r["labels"] + [-100] * gap)
        return {k: torch.tensor(v) for k, v in batch.items()}


def train_model(output_dir, epochs=3, lr=2e-3, batch_size=32):
    torch.manual_seed(0)
    llm = BaseLLM()
    model = add_lora(llm.model).to(llm.device)
    data = TokenizedDataset(llm.tokenizer, Dataset("train"))
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, collate_fn=data.collate, drop_last=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=epochs * len(loader))

    model.train()
    for epoch in range(epochs):
        bar = tqdm(loader, desc=f"epoch {epoch}")
        for batch in bar:
            loss = model(**{k: v.to(llm.device) for k, v in batch.items()}).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            bar.set_postfix(loss=f"{loss.item():.3f}")
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(tensors, Path(output_dir) / "lora.safetensors")


def test_model(ckpt_path):
    llm = load(ckpt_path)
    result = benchmark(llm, Dataset("valid"), 100)
    print("accuracy", result.accuracy, "answer_rate", result.answer_rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "test"])
    parser.add_argument("--output_dir", default=str(HERE / "sft_model"))
    cli = parser.parse_args()
    train_model(cli.output_dir) if cli.command == "train" else test_model(cli.output_dir)
