import random
import re
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from .base_llm import BaseLLM
from .data import Dataset, benchmark

MODEL = Path(__file__).parent / "sft_model"
AMOUNT = re.compile(r"\b\d+\b")
STEPS = 160
BATCH = 32
BUFFER = 256


def load() -> BaseLLM:
    from peft import PeftModel

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, MODEL).to(llm.device).eval()
    return llm


def format_example(prompt: str, answer: float) -> dict[str, str]:
    return {"question": prompt, "answer": f" <answer>{round(answer, 3)}</answer>"}


def rescaled(question, answer, rng):
    """the same question about another amount: twice as many kilometres are twice as many metres"""
    (amount,) = AMOUNT.findall(question)
    other = rng.randint(1, 10)
    return AMOUNT.sub(str(other), question), answer / int(amount) * other


class Stream(IterableDataset):
    """endless: reads the rows again and again, every second time with other amounts, through a shuffle buffer"""

    def __init__(self, tokenizer, rows, seed=0):
        self.tokenizer, self.rows, self.seed = tokenizer, rows, seed

    def source(self, rng):
        turn = 0
        while True:
            for question, answer in self.rows:
                if turn % 2 and len(AMOUNT.findall(question)) == 1:
                    question, answer = rescaled(question, answer, rng)
                yield question, answer
            turn += 1

    def shuffled(self, rng):
        buffer = []
        for row in self.source(rng):
            if len(buffer) < BUFFER:
                buffer.append(row)
                continue
            i = rng.randrange(BUFFER)
            yield buffer[i]
            buffer[i] = row

    def __iter__(self):
        rng = random.Random(self.seed)
        for question, answer in self.shuffled(rng):
            yield self.tokenize(**format_example(question, answer))

    def tokenize(self, question, answer):
        prompt = self.tokenizer(question)["input_ids"]
        target = self.tokenizer(answer)["input_ids"] + [self.tokenizer.eos_token_id]
        return torch.tensor(prompt + target), torch.tensor([-100] * len(prompt) + target)


def pad(batch):
    ids = torch.nn.utils.rnn.pad_sequence([i for i, _ in batch], batch_first=True, padding_value=2)
    labels = torch.nn.utils.rnn.pad_sequence([l for _, l in batch], batch_first=True, padding_value=-100)
    lengths = torch.tensor([len(i) for i, _ in batch])
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def train_model(output_dir=MODEL, steps: int = STEPS, lr: float = 4e-3):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    llm = BaseLLM()
    llm.model = llm.model.float()
    model = get_peft_model(
        llm.model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    model.train()

    rows = list(Dataset("train"))
    batches = iter(DataLoader(Stream(llm.tokenizer, rows), batch_size=BATCH, collate_fn=pad))
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.Adam(params, lr=lr, betas=(0.9, 0.95))
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=steps, eta_min=lr / 50)

    running = None
    for step in range(steps):
        batch = {k: v.to(llm.device) for k, v in next(batches).items()}
        loss = model(**batch).loss
        loss.backward()
        opt.step()
        opt.zero_grad()
        sched.step()
        running = loss.item() if running is None else 0.9 * running + 0.1 * loss.item()
        if step % 20 == 0:
            print(f"{step:4d} {running:.4f}")
    model.save_pretrained(output_dir)


def test_model(ckpt_path=MODEL):
    from peft import PeftModel

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device).eval()
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy={result.accuracy} answer_rate={result.answer_rate}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model})
