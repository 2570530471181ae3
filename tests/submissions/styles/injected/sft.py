import os
import random
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import get_cosine_schedule_with_warmup

from .base_llm import BaseLLM, checkpoint
from .data import Dataset, benchmark

HERE = Path(__file__).parent
MODEL_DIR = HERE / "sft_model"
PREFIX = "base_model.model."  # peft's own files have it, so other people can open mine with PeftModel

UPDATES = 120
MICRO = 8
ACCUMULATE = 4
LR = 4e-3


def lora_config(rank=16, targets=("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")):
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=list(targets),
        task_type="CAUSAL_LM",
        base_model_name_or_path=checkpoint,
    )


def make_example(llm, question, value):
    prompt = llm.format_prompt(question)
    text = llm.chat(("user", question), ("assistant", f"That makes {round(value, 3)} in total.")).rstrip("\n")
    assert text.startswith(prompt), "the template changes the prompt"
    ids = llm.tokenizer(prompt, add_special_tokens=False).input_ids
    n = len(ids)
    ids = ids + llm.tokenizer(text[len(prompt) :], add_special_tokens=False).input_ids
    assert ids[-1] == llm.tokenizer.eos_token_id
    return ids, n


def make_batch(llm, examples):
    width = max(len(ids) for ids, _ in examples)
    input_ids = torch.full((len(examples), width), llm.tokenizer.pad_token_id)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, -100)
    for k, (ids, n) in enumerate(examples):
        row = torch.tensor(ids)
        input_ids[k, : len(ids)] = row
        attention_mask[k, : len(ids)] = 1
        labels[k, n : len(ids)] = row[n:]
    return {
        "input_ids": input_ids.to(llm.device),
        "attention_mask": attention_mask.to(llm.device),
        "labels": labels.to(llm.device),
    }


def forever(examples, size):
    pool = []
    while True:
        while len(pool) < size:
            pool += random.sample(examples, len(examples))
        batch, pool = pool[:size], pool[size:]
        yield batch


def save(model, folder):
    os.makedirs(folder, exist_ok=True)
    state = {PREFIX + key: value.contiguous().cpu() for key, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()}
    save_file(state, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    lora_config().save_pretrained(folder)


def train_model(output_dir=str(MODEL_DIR)):
    random.seed(0)
    torch.manual_seed(0)
    llm = BaseLLM()
    model = inject_adapter_in_model(lora_config(), llm.model)
    trainable = [p for p in model.parameters() if p.requires_grad]
    print(f"training {sum(p.numel() for p in trainable):,} parameters")
    optimizer = torch.optim.AdamW(trainable, lr=LR, betas=(0.9, 0.99))
    scheduler = get_cosine_schedule_with_warmup(optimizer, UPDATES // 10, UPDATES)

    examples = [make_example(llm, *row) for row in Dataset("train")]
    batches = forever(examples, MICRO)
    model.train()
    progress = tqdm(range(UPDATES), desc="training")
    for _ in progress:
        optimizer.zero_grad()
        total = 0.0
        for _ in range(ACCUMULATE):
            loss = model(**make_batch(llm, next(batches))).loss / ACCUMULATE
            loss.backward()
            total += loss.item()
        optimizer.step()
        scheduler.step()
        progress.set_postfix(loss=f"{total:.3f}")
    save(model, output_dir)


def load(folder=MODEL_DIR):
    llm = BaseLLM()
    llm.model = inject_adapter_in_model(lora_config(), llm.model)
    state = load_file(Path(folder) / "adapter_model.safetensors")
    set_peft_model_state_dict(llm.model, {key.removeprefix(PREFIX): value for key, value in state.items()})
    llm.model.to(llm.device).eval()
    return llm


def test_model(ckpt_path=MODEL_DIR):
    result = benchmark(load(ckpt_path), Dataset("valid"), 100)
    for question, answer, truth, right in result.samples[:5]:
        print("ok " if right else "BAD", question, answer, truth)
    print(f"accuracy={result.accuracy:.2f}  answer_rate={result.answer_rate:.2f}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"train": train_model, "test": test_model}[command](*arguments)
