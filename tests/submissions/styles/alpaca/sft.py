import math
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch.optim.lr_scheduler import LambdaLR

from .base_llm import BaseLLM
from .data import Dataset, benchmark
from .texts import prompt_of, response_of

FOLDER = Path(__file__).resolve().parent / "sft_model"
STEPS, BATCH, WARMUP, PEAK = 140, 24, 14, 4e-3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def encode(tokenizer, question, value):
    """-> (ids, labels), two lists. Prompt and response are tokenized apart: the boundary is then where I think it is."""
    prompt = tokenizer(prompt_of(question))["input_ids"]
    response = tokenizer(response_of(value), add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return prompt + response, [-100] * len(prompt) + response


def batches(examples, size, seed=7):
    rng = random.Random(seed)
    while True:
        rng.shuffle(examples)
        for i in range(0, len(examples) - size + 1, size):
            yield examples[i : i + size]


def stack(examples, pad, device):
    width = max(len(ids) for ids, _ in examples)
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in examples])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in examples])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in examples])
    return ids.to(device), mask.to(device), labels.to(device)


def loss_of(model, ids, mask, labels):
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    wanted = labels[:, 1:]
    total = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=-100, reduction="sum")
    return total / (wanted != -100).sum()


def schedule(step):
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / max(1, STEPS - WARMUP)))


def train_model(output_dir=FOLDER, **kwargs):
    torch.manual_seed(7)
    llm = BaseLLM()
    config = LoraConfig(task_type=TaskType.CAUSAL_LM, r=16, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS)
    model = get_peft_model(llm.model, config)
    model.print_trainable_parameters()
    examples = [encode(llm.tokenizer, q, v) for q, v in Dataset("train")]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=PEAK, weight_decay=0.01)
    scheduler = LambdaLR(optimizer, schedule)

    model.train()
    stream = batches(examples, BATCH)
    for step in range(STEPS):
        loss = loss_of(model, *stack(next(stream), llm.tokenizer.pad_token_id, llm.device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 10 == 0:
            print(f"{step:4d}  {loss.item():.4f}  lr {scheduler.get_last_lr()[0]:.1e}", flush=True)

    model.eval()
    model.save_pretrained(output_dir)
    test_model(output_dir)


def load():
    return _load(FOLDER)


def _load(folder):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, folder).to(llm.device).eval()
    return llm


def test_model(ckpt_path=FOLDER):
    result = benchmark(_load(ckpt_path), Dataset("valid"), 100)
    print(f"accuracy={result.accuracy} answer_rate={result.answer_rate}")
    return result


if __name__ == "__main__":
    import sys

    globals()[f"{sys.argv[1]}_model"](*sys.argv[2:])
