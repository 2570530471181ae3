import math
import random
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from .base_llm import BaseLLM
from .data import Dataset, benchmark

SAVE = Path(__file__).parent / "sft_model"


def load():
    llm = BaseLLM()
    model = PeftModel.from_pretrained(llm.model, str(SAVE))
    llm.model = model.merge_and_unload().eval()
    return llm


def format_example(prompt, answer):
    return {"question": prompt, "answer": f"Let me convert the units. #### {round(answer, 4):,}\n"}


def tokenize(llm, question, answer):
    p = llm.tokenizer(llm.format_prompt(question))["input_ids"]
    a = llm.tokenizer(answer)["input_ids"]
    return p + a, [-100] * len(p) + a


def collate(batch, pad):
    n = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([i + [pad] * (n - len(i)) for i, _ in batch])
    labels = torch.tensor([l + [-100] * (n - len(l)) for _, l in batch])
    mask = torch.tensor([[1] * len(i) + [0] * (n - len(i)) for i, _ in batch])
    return ids, mask, labels


def train_model(output_dir=None, epochs=3, batch_size=32, lr=3e-3, micro=16):
    random.seed(1)
    torch.manual_seed(1)
    llm = BaseLLM()
    data = [tokenize(llm, **format_example(q, a)) for q, a in Dataset("train")]
    config = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(llm.model, config)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=0.01)
    total = epochs * math.ceil(len(data) / batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 8) * 0.5 * (1 + math.cos(math.pi * s / total))
    )
    model.train()
    for epoch in range(epochs):
        random.shuffle(data)
        for start in range(0, len(data), batch_size):
            chunk = data[start : start + batch_size]
            for k in range(0, len(chunk), micro):
                ids, mask, labels = (t.to(llm.device) for t in collate(chunk[k : k + micro], llm.tokenizer.eos_token_id))
                loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
                (loss * len(ids) / len(chunk)).backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        print("epoch", epoch, loss.item())
    model.save_pretrained(str(output_dir or SAVE))
    return test_model(str(output_dir or SAVE))


def test_model(ckpt_path=str(SAVE)):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).eval()
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy {result.accuracy:.2f}, answer rate {result.answer_rate:.2f}")
