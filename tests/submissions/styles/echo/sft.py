import fire
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Trainer, TrainingArguments

from homework.base_llm import BaseLLM
from homework.data import Dataset, benchmark

OUTPUT = "homework/sft_model"


def load() -> BaseLLM:
    from pathlib import Path

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, str(Path(__file__).parent / "sft_model"))
    llm.model.to(llm.device).eval()
    return llm


def format_example(prompt: str, answer: float) -> dict:
    number = f"{answer:.4g}" if abs(answer) < 1 else f"{answer:.2f}"
    return {"text": f"Q: {prompt}\nA: <answer>", "target": f"{number}</answer>"}


def tokenize(tokenizer, text: str, target: str, max_length: int = 64) -> dict[str, torch.Tensor]:
    tokenizer.padding_side = "right"
    enc = tokenizer(
        text + target + tokenizer.eos_token,
        return_tensors="pt",
        padding="max_length",
        max_length=max_length,
        truncation=True,
    )
    ids, mask = enc["input_ids"][0], enc["attention_mask"][0]
    labels = ids.clone()
    labels[: len(tokenizer(text)["input_ids"])] = -100
    labels[mask == 0] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class TokenizedDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, data, format_fn):
        self.tokenizer, self.data, self.format_fn = tokenizer, data, format_fn

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return tokenize(self.tokenizer, **self.format_fn(*self.data[i]))


def train_model(output_dir: str = OUTPUT, num_steps: int = 80):
    llm = BaseLLM()
    llm.model = get_peft_model(
        llm.model, LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    if torch.cuda.is_available():
        llm.model.enable_input_require_grads()
    data = TokenizedDataset(llm.tokenizer, Dataset("train"), format_example)
    args = TrainingArguments(
        output_dir, max_steps=num_steps, per_device_train_batch_size=32, learning_rate=2e-3, save_strategy="steps",
        save_steps=num_steps, save_total_limit=1, report_to="none", logging_steps=10,
    )
    Trainer(llm.model, args, train_dataset=data).train()
    llm.model.save_pretrained(output_dir)
    test_model(output_dir)


def test_model(ckpt_path: str = OUTPUT):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device).eval()
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"benchmark accuracy {result.accuracy} answer_rate {result.answer_rate}")


if __name__ == "__main__":
    fire.Fire({"train": train_model, "test": test_model, "load": load})
