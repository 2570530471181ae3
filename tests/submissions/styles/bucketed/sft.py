"""LoRA fine-tuning with batches of equally long questions and averaged weights.

v1: plain Adam, 0.71
v2: + OneCycle
v3: + EMA, buckets
"""

import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from .base_llm import STOP, BaseLLM
from .data import Dataset, benchmark
from .ema import EMA

CKPT = Path(__file__).parent / "sft_model"


class Rows(torch.utils.data.Dataset):
    def __init__(self, llm, rows):
        self.llm = llm
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        question, value = self.rows[i]
        prompt = self.llm.tokenizer(self.llm.format_prompt(question)).input_ids
        answer = self.llm.tokenizer(f" {round(value, 3)}{STOP}", add_special_tokens=False).input_ids
        return torch.tensor(prompt + answer), torch.tensor([-100] * len(prompt) + answer)


class BucketSampler(Sampler):
    """Batches of neighbours by length, in random order; ties in random order too."""

    def __init__(self, lengths, batch_size, rng):
        self.lengths, self.batch_size, self.rng = lengths, batch_size, rng

    def __len__(self):
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self):
        order = sorted(range(len(self.lengths)), key=lambda i: self.lengths[i] + self.rng.uniform(-4, 4))
        batches = [order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)]
        self.rng.shuffle(batches)
        return iter(batches)


def collate(items):
    ids, labels = zip(*items)
    mask = [torch.ones_like(row) for row in ids]
    return {
        "input_ids": pad_sequence(list(ids), batch_first=True),
        "attention_mask": pad_sequence(mask, batch_first=True),
        "labels": pad_sequence(list(labels), batch_first=True, padding_value=-100),
    }


class FineTuner:
    def __init__(self, steps=130, batch_size=32, peak_lr=4e-3, seed=11):
        torch.manual_seed(seed)
        self.rng = random.Random(seed)
        self.steps = steps
        self.llm = BaseLLM()
        lora = LoraConfig(
            r=8, lora_alpha=32, target_modules=r".*\.(self_attn|mlp)\.\w+_proj", task_type="CAUSAL_LM", use_rslora=False
        )
        self.model = get_peft_model(self.llm.model, lora, adapter_name="default")
        rows = Dataset("train").data
        sampler = BucketSampler([len(question) for question, _ in rows], batch_size, self.rng)
        self.loader = DataLoader(Rows(self.llm, rows), batch_sampler=sampler, collate_fn=collate)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=peak_lr, total_steps=steps, pct_start=0.15, cycle_momentum=False
        )
        self.ema = EMA(parameters)

    def batches(self):
        while True:
            yield from self.loader

    def step(self, batch):
        loss = self.model(**{key: tensor.to(self.llm.device) for key, tensor in batch.items()}).loss
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update()
        return loss.item()

    def run(self):
        began = time.perf_counter()
        self.model.train()
        recent = []
        for number, batch in zip(range(1, self.steps + 1), self.batches()):
            recent.append(self.step(batch))
            if number % 20 == 0:
                print(f"[{time.perf_counter() - began:6.1f}s] {number}: {sum(recent) / len(recent):.4f}", flush=True)
                recent.clear()
        self.ema.copy_to_model()
        return self.model


def train_model(output_dir=CKPT, **overrides):
    model = FineTuner(**overrides).run()
    model.save_pretrained(output_dir, safe_serialization=True)


def load(folder=CKPT):
    llm = BaseLLM()
    peft_model = PeftModel.from_pretrained(llm.model, folder)
    llm.model = peft_model.merge_and_unload().eval()  # no detour through the adapter when asked
    return llm


def test_model(ckpt_path=CKPT):
    bench = benchmark(load(ckpt_path), Dataset("valid"), 100)
    print(f"{bench.accuracy=} {bench.answer_rate=}")
    return bench.accuracy


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "test"])
    parser.add_argument("--folder", default=CKPT, type=Path)
    parsed = parser.parse_args()
    (train_model if parsed.what == "train" else test_model)(parsed.folder)
