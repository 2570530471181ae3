import random
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from .base_llm import BaseLLM
from .data import Dataset, benchmark, is_answer_valid
from .utils import AverageMeter, HParams, Keeper, Stopwatch

HP = HParams(lr=3e-3, weight_decay=0.01, epochs=4, batch_size=32, rank=8, alpha=32, warmup=10, seed=42)
MODEL_DIR = Path(__file__).parent / "sft_model"


def load() -> BaseLLM:
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, MODEL_DIR).to(llm.device)
    llm.model.eval()
    return llm


def format_example(prompt: str, answer: float) -> dict[str, str]:
    return {"question": prompt, "answer": f" That is {round(answer, 3)} in total."}


class Batch:
    """a batch on the right, padded to its longest row"""

    def __init__(self, llm, rows):
        tok = llm.tokenizer
        encoded = []
        for q, a in rows:
            ex = format_example(q, a)
            p = tok.encode(llm.format_prompt(ex["question"]))
            t = tok.encode(ex["answer"]) + [tok.eos_token_id]
            encoded.append((p, t))
        width = max(len(p) + len(t) for p, t in encoded)
        self.ids = torch.full((len(rows), width), tok.eos_token_id)
        self.labels = torch.full((len(rows), width), -100)
        self.mask = torch.zeros((len(rows), width), dtype=torch.long)
        for i, (p, t) in enumerate(encoded):
            n = len(p) + len(t)
            self.ids[i, :n] = torch.tensor(p + t)
            self.labels[i, len(p) : n] = torch.tensor(t)
            self.mask[i, :n] = 1

    def __len__(self):
        return len(self.ids)

    def loss(self, model, device):
        out = model(
            input_ids=self.ids.to(device), attention_mask=self.mask.to(device), labels=self.labels.to(device)
        )
        return out.loss


def held_out_loss(llm, model, rows):
    model.eval()
    meter = AverageMeter("held out")
    with torch.no_grad():
        for i in range(0, len(rows), 32):
            b = Batch(llm, rows[i : i + 32])
            meter.update(b.loss(model, llm.device).item(), len(b))
    model.train()
    return meter.avg


def train_model(output_dir: str = str(MODEL_DIR), hp: HParams = HP):
    random.seed(hp.seed)
    torch.manual_seed(hp.seed)
    llm = BaseLLM()
    model = get_peft_model(
        llm.model,
        LoraConfig(
            r=hp.rank, lora_alpha=hp.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
        ),
    )
    rows = list(Dataset("train"))
    random.shuffle(rows)
    n_dev = max(len(rows) // 20, 1)
    dev, rows = rows[:n_dev], rows[n_dev:]

    params = [p for p in model.parameters() if p.requires_grad]
    optim = torch.optim.AdamW(params, lr=hp.lr, weight_decay=hp.weight_decay)
    steps = hp.epochs * ((len(rows) + hp.batch_size - 1) // hp.batch_size)
    sched = torch.optim.lr_scheduler.SequentialLR(
        optim,
        [
            torch.optim.lr_scheduler.LinearLR(optim, 0.1, 1.0, total_iters=hp.warmup),
            torch.optim.lr_scheduler.LinearLR(optim, 1.0, 0.02, total_iters=max(steps - hp.warmup, 1)),
        ],
        milestones=[hp.warmup],
    )
    keeper = Keeper()
    model.train()
    for epoch in range(hp.epochs):
        random.shuffle(rows)
        meter = AverageMeter("loss")
        with Stopwatch() as watch:
            for i in range(0, len(rows), hp.batch_size):
                batch = Batch(llm, rows[i : i + hp.batch_size])
                optim.zero_grad()
                loss = batch.loss(model, llm.device)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(params, 1.0)
                optim.step()
                sched.step()
                meter.update(loss.item(), len(batch))
        dev_loss = held_out_loss(llm, model, dev)
        star = "*" if keeper.look(model, dev_loss) else ""
        print(f"[{epoch + 1}/{hp.epochs}] {meter} dev {dev_loss:.4f}{star} ({watch.seconds:.0f}s)")
    keeper.restore(model)
    model.save_pretrained(output_dir)
    test_model(output_dir)


def test_model(ckpt_path: str = str(MODEL_DIR)):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device).eval()
    result = benchmark(llm, Dataset("valid"), 100)
    right = sum(is_answer_valid(a, t) for _, a, t, _ in result.samples)
    print(f"benchmark_result.accuracy={result.accuracy}  benchmark_result.answer_rate={result.answer_rate} ({right})")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model, "load": load})
