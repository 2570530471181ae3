from pathlib import Path

from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from .base_llm import BaseLLM
from .data import Dataset, benchmark


def load() -> BaseLLM:
    from peft import PeftModel

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, str(Path(__file__).parent / "sft_model")).to(llm.device)
    llm.model.eval()
    return llm


def format_example(prompt: str, answer: float, llm: BaseLLM) -> dict[str, str]:
    return {"prompt": llm.format_prompt(prompt), "completion": f"<answer>{round(answer, 4)}</answer><|im_end|>"}


def tokenize(tokenizer, prompt: str, completion: str) -> dict:
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    full_ids = tokenizer.encode(prompt + completion, add_special_tokens=False)
    return {
        "input_ids": full_ids,
        "attention_mask": [1] * len(full_ids),
        "labels": [-100] * len(prompt_ids) + full_ids[len(prompt_ids) :],
    }


class TokenizedDataset:
    def __init__(self, llm: BaseLLM, split: str):
        self.rows = [tokenize(llm.tokenizer, **format_example(q, a, llm)) for q, a in Dataset(split).data]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, idx):
        return self.rows[idx]


def train_model(output_dir: str = None, **kwargs):
    from peft import LoraConfig, get_peft_model

    output_dir = output_dir or str(Path(__file__).parent / "sft_model")
    llm = BaseLLM()
    model = get_peft_model(
        llm.model,
        LoraConfig(r=8, lora_alpha=64, target_modules="all-linear", bias="none", task_type="CAUSAL_LM"),
    )
    llm.tokenizer.padding_side = "right"
    trainer = Trainer(
        model=model,
        train_dataset=TokenizedDataset(llm, "train"),
        data_collator=DataCollatorForSeq2Seq(llm.tokenizer, pad_to_multiple_of=8),
        args=TrainingArguments(
            output_dir=output_dir,
            max_steps=110,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            save_strategy="no",
            logging_steps=25,
            report_to="none",
        ),
    )
    trainer.train()
    model.save_pretrained(output_dir)
    llm.tokenizer.save_pretrained(output_dir)


def test_model(ckpt_path: str):
    from peft import PeftModel

    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device)
    llm.model.eval()
    b = benchmark(llm, Dataset("valid"), 50)
    print(f"accuracy: {b.accuracy:.3f}, answer_rate: {b.answer_rate:.3f}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model})
