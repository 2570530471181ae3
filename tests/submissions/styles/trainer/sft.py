from pathlib import Path

import torch

from .base_llm import BaseLLM
from .data import Dataset, benchmark

MAX_LENGTH = 64


def load() -> BaseLLM:
    from peft import PeftModel

    model_dir = Path(__file__).parent / "sft_model"

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, str(model_dir)).to(llm.device)
    llm.model.eval()
    return llm


def tokenize(tokenizer, question: str, answer: str):
    # question + answer + eos, only the answer is supervised
    tokenizer.padding_side = "right"
    tokenizer.pad_token = tokenizer.eos_token
    full = tokenizer(
        f"{question} {answer}{tokenizer.eos_token}", padding="max_length", truncation=True, max_length=MAX_LENGTH
    )
    question_len = len(tokenizer(question)["input_ids"])
    labels = [
        token if i >= question_len and keep else -100
        for i, (token, keep) in enumerate(zip(full["input_ids"], full["attention_mask"]))
    ]
    full["labels"] = labels
    return full


def format_example(prompt: str, answer: float) -> dict[str, str]:
    return {"question": prompt, "answer": f"<answer>{round(float(answer), 3)}</answer>"}


class TokenizedDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, data: Dataset, format_fn):
        self.tokenizer = tokenizer
        self.data = data
        self.format_fn = format_fn

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        return tokenize(self.tokenizer, **self.format_fn(*self.data[idx]))


def train_model(output_dir: str, **kwargs):
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments

    llm = BaseLLM()
    lora = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", bias="none", task_type="CAUSAL_LM")
    model = get_peft_model(llm.model, lora)
    model.print_trainable_parameters()

    args = TrainingArguments(
        output_dir=output_dir,
        per_device_train_batch_size=32,
        num_train_epochs=3,
        learning_rate=2e-3,
        logging_steps=20,
        save_strategy="no",
        report_to="none",
    )
    train_set = TokenizedDataset(llm.tokenizer, Dataset("train"), format_example)
    trainer = Trainer(model=model, args=args, train_dataset=train_set)
    trainer.train()
    trainer.save_model(output_dir)


def test_model(ckpt_path: str):
    from peft import PeftModel

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device)
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy={result.accuracy} answer_rate={result.answer_rate}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model, "load": load})
