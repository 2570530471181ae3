"""SFT with the HF Trainer.

    python -m homework.sft train [--output-dir DIR]
    python -m homework.sft test  [--ckpt DIR]
"""

from __future__ import annotations

import argparse
import json
import logging

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Trainer, TrainingArguments, set_seed

from .base_llm import BaseLLM, build_prompt
from .config import CONFIG, SFTConfig
from .data import Dataset, is_answer_valid

logger = logging.getLogger(__name__)


def build_completion(value: float) -> str:
    """What json.dumps would put behind the colon; parse_answer closes the object."""
    return " " + json.dumps(round(value, 3))


class JsonRows(torch.utils.data.Dataset):
    def __init__(self, rows, tokenizer, cfg: SFTConfig):
        self.rows, self.tokenizer, self.cfg = rows, tokenizer, cfg

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        question, value = self.rows[index]
        prompt = self.tokenizer.encode(build_prompt(question))
        completion = self.tokenizer.encode(build_completion(value)) + [self.tokenizer.eos_token_id]
        overflow = len(prompt) + len(completion) - self.cfg.max_length
        assert overflow <= 0, f"row {index} is {overflow} tokens too long"
        return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


class Collator:
    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, features):
        width = max(len(f["input_ids"]) for f in features)

        def rectangle(key, fill):
            rows = [f[key][:width] for f in features]
            return torch.tensor([row + [fill] * (width - len(row)) for row in rows])

        lengths = torch.tensor([min(width, len(f["input_ids"])) for f in features])
        return {
            "input_ids": rectangle("input_ids", self.pad_token_id),
            "labels": rectangle("labels", -100),
            "attention_mask": (torch.arange(width)[None] < lengths[:, None]).long(),
        }


def train_model(output_dir: str | None = None, cfg: SFTConfig = CONFIG):
    output_dir = str(output_dir or cfg.output_dir)
    set_seed(cfg.seed)
    llm = BaseLLM(cfg.checkpoint)
    lora = LoraConfig(
        r=cfg.rank,
        lora_alpha=cfg.alpha,
        lora_dropout=cfg.dropout,
        target_modules=cfg.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    llm.model.enable_input_require_grads()
    model = get_peft_model(llm.model, lora)
    arguments = TrainingArguments(
        output_dir=output_dir,
        max_steps=cfg.steps,
        per_device_train_batch_size=cfg.batch_size,
        learning_rate=cfg.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=cfg.warmup_steps,
        logging_steps=25,
        save_strategy="no",
        report_to="none",
        seed=cfg.seed,
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=JsonRows(Dataset("train"), llm.tokenizer, cfg),
        data_collator=Collator(llm.tokenizer.pad_token_id),
    )
    result = trainer.train()
    logger.info("mean loss %.4f", result.training_loss)
    trainer.save_model(output_dir)
    logger.info("test: %s", test_model(output_dir))


def load(ckpt_path: str | None = None) -> BaseLLM:
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, str(ckpt_path or CONFIG.output_dir), is_trainable=False)
    llm.model.to(llm.device)
    llm.model.eval()
    return llm


def test_model(ckpt_path: str | None = None) -> dict[str, float]:
    llm = load(ckpt_path)
    valid = Dataset("valid")
    rows = [valid[i] for i in range(min(CONFIG.eval_questions, len(valid)))]
    answers = llm.answer(*[question for question, _ in rows])
    right = sum(is_answer_valid(answer, truth) for answer, (_, truth) in zip(answers, rows))
    given = sum(answer == answer for answer in answers)
    metrics = {"accuracy": right / len(rows), "answer_rate": given / len(rows)}
    print(f"accuracy={metrics['accuracy']:.3f} answer_rate={metrics['answer_rate']:.3f}")
    return metrics


def main():
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("train").add_argument("--output-dir")
    commands.add_parser("test").add_argument("--ckpt")
    options = parser.parse_args()
    if options.command == "train":
        train_model(options.output_dir)
    else:
        test_model(options.ckpt)


if __name__ == "__main__":
    main()
