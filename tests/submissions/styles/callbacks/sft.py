"""LoRA fine-tuning for unit conversion.

    python -m homework.sft train
    python -m homework.sft test
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

from .base_llm import BaseLLM
from .data import Dataset, benchmark
from .hooks import MetricsFile, SaveAdapter, StopOnNaN
from .settings import SETTINGS, Settings

logger = logging.getLogger("sft")


@dataclass(frozen=True)
class Example:
    question: str
    value: float

    @property
    def target(self) -> str:
        return f" {round(self.value, SETTINGS.data.decimals)}"

    def features(self, llm: BaseLLM) -> dict[str, list[int]]:
        prompt = llm.tokenizer(llm.format_prompt(self.question))["input_ids"]
        target = llm.tokenizer(self.target)["input_ids"] + [llm.tokenizer.eos_token_id]
        ids = (prompt + target)[: SETTINGS.data.max_length]
        labels = ([-100] * len(prompt) + target)[: SETTINGS.data.max_length]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def load() -> BaseLLM:
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, SETTINGS.artifact, is_trainable=False)
    llm.model.to(llm.device).eval()
    return llm


def train_model(output_dir: str | Path | None = None, settings: Settings = SETTINGS) -> None:
    set_seed(settings.train.seed)
    folder = Path(output_dir or settings.artifact)
    llm = BaseLLM()
    model = get_peft_model(
        llm.model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.model.rank,
            lora_alpha=settings.model.alpha,
            lora_dropout=settings.model.dropout,
            target_modules=list(settings.model.targets),
        ),
    )
    features = [Example(question, value).features(llm) for question, value in Dataset("train")]
    logger.info("%d examples, the longest of %d tokens", len(features), max(len(f["input_ids"]) for f in features))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=settings.train.batch_size,
                num_train_epochs=settings.train.epochs,
                learning_rate=settings.train.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=int(
                    settings.train.warmup_ratio * settings.train.epochs * len(features) / settings.train.batch_size
                ),
                logging_steps=settings.train.log_every,
                save_strategy="no",
                report_to="none",
                seed=settings.train.seed,
            ),
            train_dataset=features,
            data_collator=DataCollatorForSeq2Seq(llm.tokenizer, label_pad_token_id=-100),
            callbacks=[
                MetricsFile(folder / "metrics.jsonl"),
                StopOnNaN(),
                SaveAdapter(folder, settings.as_dict()),
            ],
        )
        trainer.train()
    test_model(folder)


def test_model(ckpt_path: str | Path = SETTINGS.artifact) -> None:
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).to(llm.device).eval()
    result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy={result.accuracy:.3f} answer_rate={result.answer_rate:.3f}")


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("train").add_argument("--output_dir", default=None)
    commands.add_parser("test").add_argument("--ckpt_path", default=SETTINGS.artifact)
    args = parser.parse_args()
    if args.command == "train":
        train_model(args.output_dir)
    else:
        test_model(args.ckpt_path)


if __name__ == "__main__":
    main()
