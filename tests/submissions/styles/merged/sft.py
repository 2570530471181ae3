from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from .base_llm import BaseLLM, checkpoint
from .data import Dataset, benchmark

ON_GPU = torch.cuda.is_available()


class SFTLLM(BaseLLM):
    def __init__(self):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.device = "cuda" if ON_GPU else "cpu"
        # master weights in fp32, mixed precision is the trainer's business
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).to(self.device)

    def format_prompt(self, question: str) -> str:
        return f"{question.strip()} <answer>"

    def parse_answer(self, answer: str) -> float:
        try:
            return float(answer.partition("</answer>")[0].removeprefix("<answer>"))
        except ValueError:
            return float("nan")


def load() -> BaseLLM:
    llm = SFTLLM()
    peft_model = PeftModel.from_pretrained(llm.model, str(Path(__file__).parent / "sft_model"))
    llm.model = peft_model.merge_and_unload().to(llm.device).eval()
    return llm


def tokenize(tokenizer, question: str, answer: str, max_length: int = 72) -> dict:
    q = tokenizer(question)["input_ids"]
    a = tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id]
    pad = max_length - len(q) - len(a)
    return {
        "input_ids": q + a + [tokenizer.pad_token_id] * pad,
        "attention_mask": [1] * (len(q) + len(a)) + [0] * pad,
        "labels": [-100] * len(q) + a + [-100] * pad,
    }


def format_example(prompt: str, answer: float) -> dict:
    return {"question": f"{prompt.strip()} <answer>", "answer": f"{round(answer, 3)}</answer>"}


class TokenizedDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, data: Dataset, format_fn):
        self.rows = [tokenize(tokenizer, **format_fn(q, a)) for q, a in data.data]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def train_model(output_dir: str, **kwargs):
    llm = SFTLLM()
    model = get_peft_model(
        llm.model, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", bias="none", task_type="CAUSAL_LM")
    )
    if ON_GPU:
        model.enable_input_require_grads()  # needed with gradient checkpointing
    args = TrainingArguments(
        output_dir=output_dir,
        gradient_checkpointing=True,
        fp16=ON_GPU,
        max_steps=kwargs.get("max_steps", 80),
        per_device_train_batch_size=32,
        learning_rate=3e-3,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=5,
        save_strategy="no",
        logging_steps=20,
        report_to="none",
    )
    Trainer(
        model=model, args=args, train_dataset=TokenizedDataset(llm.tokenizer, Dataset("train"), format_example)
    ).train()
    model.save_pretrained(output_dir)


def test_model(ckpt_path: str):
    llm = SFTLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).merge_and_unload().eval()
    r = benchmark(llm, Dataset("valid"), 64)
    print(f"accuracy={r.accuracy:.2f} answer_rate={r.answer_rate:.2f}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model})
