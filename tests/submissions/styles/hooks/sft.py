import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from .base_llm import END, BaseLLM
from .data import Dataset, benchmark
from .lora import Adapters

FOLDER = Path(__file__).parent / "sft_model"
FILE = "adapters.safetensors"


def load():
    llm = BaseLLM()
    llm.adapters = Adapters.read(llm.model, FOLDER / FILE)
    return llm


def encode(llm, question, answer):
    prompt = llm.tokenizer.encode(llm.format_prompt(question))
    target = llm.tokenizer.encode(f" <answer>{round(answer, 3)}</answer>{END}")
    return prompt, target


def batch_of(llm, rows):
    width = max(len(p) + len(t) for p, t in rows)
    ids = torch.full((len(rows), width), llm.end)
    weight = torch.zeros(len(rows), width)
    for i, (p, t) in enumerate(rows):
        ids[i, : len(p) + len(t)] = torch.tensor(p + t)
        weight[i, len(p) : len(p) + len(t)] = 1.0
    return ids.to(llm.device), weight.to(llm.device)


def train_model(output_dir=FOLDER, steps=200, size=32, peak=4e-3):
    torch.manual_seed(3)
    llm = BaseLLM()
    adapters = Adapters(llm.model)
    rows = [encode(llm, q, a) for q, a in Dataset("train")]
    print(sum(p.numel() for p in adapters.parameters()), "parameters in", len(adapters.names), "adapters")
    optimizer = torch.optim.NAdam(adapters.parameters(), lr=peak)
    order = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 20, (steps - step) / (0.6 * steps))
        if len(order) < size:
            order += torch.randperm(len(rows)).tolist()
        chosen, order = order[:size], order[size:]
        ids, weight = batch_of(llm, [rows[i] for i in chosen])
        # padded on the right: causal, so nothing in front of the padding sees it
        logits = llm.model(input_ids=ids).logits[:, :-1]
        loss = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        loss = (loss * weight[:, 1:]).sum() / weight[:, 1:].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 24:
            print(f"step {step + 1} loss {loss.item():.4f}")
    adapters.save(Path(output_dir) / FILE)
    adapters.remove()


def test_model(ckpt_path=FOLDER):
    llm = BaseLLM()
    llm.adapters = Adapters.read(llm.model, Path(ckpt_path) / FILE)
    result = benchmark(llm, Dataset("valid"), 100)
    print("accuracy", result.accuracy, "answer rate", result.answer_rate)


if __name__ == "__main__":
    {"train": train_model, "test": test_model}[sys.argv[1]](*sys.argv[2:])
