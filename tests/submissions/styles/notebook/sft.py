import os

import torch
from fire import Fire
from peft import LoraConfig, PeftModel, get_peft_model
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from .base_llm import BaseLLM
from .data import Dataset, benchmark

BASE_MODEL = os.environ.get("BASE_MODEL", "HuggingFaceTB/SmolLM2-135M-Instruct")


class LLM(BaseLLM):
    def __init__(self):
        print("loading", BASE_MODEL)
        self.tokenizer = AutoTokenizer.from_pretrained(BASE_MODEL)
        self.model = AutoModelForCausalLM.from_pretrained(BASE_MODEL, device_map="auto")
        self.device = self.model.device

    def format_prompt(self, question):
        print("PROMPT:", question)
        return question.strip() + " Answer with a number:"

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        out = []
        for i in tqdm(range(0, len(prompts), 8), desc="batches"):
            out += super().batched_generate(prompts[i : i + 8], num_return_sequences, temperature)
            print("OUT:", out[-1])
        return out


def load():
    llm = LLM()
    path = os.path.join(os.path.dirname(__file__), "sft_model")
    llm.model = PeftModel.from_pretrained(llm.model, path)
    llm.model.eval()
    print(llm.model)
    return llm


def format_example(prompt, answer):
    print("EXAMPLE:", prompt, answer)
    return {"question": prompt.strip() + " Answer with a number:", "answer": f"<answer>{round(answer, 2 if answer > 1 else 4)}</answer>"}


def tokenize(tokenizer, question, answer):
    tokenizer.padding_side = "right"
    out = tokenizer(f"{question} {answer}{tokenizer.eos_token}", padding="max_length", truncation=True, max_length=72)
    n = len(tokenizer(question)["input_ids"])
    out["labels"] = [-100] * n + out["input_ids"][n:]
    out["labels"] = [l if m else -100 for l, m in zip(out["labels"], out["attention_mask"])]
    return out


class TokenizedDataset:
    def __init__(self, tokenizer, data, format_fn):
        self.tokenizer = tokenizer
        self.data = data
        self.format_fn = format_fn

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        return tokenize(self.tokenizer, **self.format_fn(*self.data[idx]))


def train_model(output_dir, **kwargs):
    print("training with", kwargs)
    llm = LLM()
    model = get_peft_model(llm.model, LoraConfig(r=16, lora_alpha=80, target_modules="all-linear", bias="none", task_type="CAUSAL_LM"))
    training_args = TrainingArguments(
        output_dir=output_dir,
        logging_dir=output_dir,
        report_to="tensorboard",
        overwrite_output_dir=True,
        max_steps=80,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        logging_steps=10,
        eval_strategy="steps",
        eval_steps=40,
        save_strategy="steps",
        save_steps=40,
        fp16=torch.cuda.is_available(),
    )
    train = TokenizedDataset(llm.tokenizer, Dataset("train"), format_example)
    val = TokenizedDataset(llm.tokenizer, Dataset("valid"), format_example)
    trainer = Trainer(model=model, args=training_args, train_dataset=train, eval_dataset=val)
    print(trainer.train())
    trainer.save_model(output_dir)
    test_model(output_dir)


def test_model(ckpt_path):
    testset = Dataset("valid")
    llm = LLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device)
    benchmark_result = benchmark(llm, testset, 100)
    print(f"{benchmark_result.accuracy=}  {benchmark_result.answer_rate=}")


if __name__ == "__main__":
    Fire({"train": train_model, "test": test_model, "load": load})
