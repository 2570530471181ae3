import json
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from .base_llm import BaseLLM
from .data import Dataset, benchmark

HERE = Path(__file__).resolve().parent


def _load(path) -> BaseLLM:
    llm = BaseLLM()
    config = PeftConfig.from_pretrained(str(path))
    llm.model = get_peft_model(llm.model, config)
    set_peft_model_state_dict(llm.model, load_file(str(Path(path) / "adapter_model.safetensors")))
    llm.model.to(llm.device).eval()
    return llm


def load() -> BaseLLM:
    return _load(HERE / "sft_model")


def format_example(prompt: str, answer: float, llm) -> dict:
    return {"prompt": llm.format_prompt(prompt), "completion": " " + json.dumps({"answer": round(answer, 5)})}


def tokenize(tokenizer, prompt, completion):
    p = tokenizer(prompt, add_special_tokens=False).input_ids
    c = tokenizer(completion, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    return {"input_ids": p + c, "attention_mask": [1] * len(p + c), "labels": [-100] * len(p) + c}


class SFTTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs.logits[..., :-1, :].contiguous()
        target = labels[..., 1:].contiguous()
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), target.view(-1), ignore_index=-100)
        return (loss, outputs) if return_outputs else loss


def train_model(output_dir: str = str(HERE / "sft_model"), **kwargs):
    llm = BaseLLM()
    rows = [tokenize(llm.tokenizer, **format_example(q, a, llm)) for q, a in Dataset("train").data]
    valid = [tokenize(llm.tokenizer, **format_example(q, a, llm)) for q, a in Dataset("valid").data]
    llm.model = get_peft_model(
        llm.model,
        LoraConfig(
            r=8, lora_alpha=32, target_modules="all-linear", bias="none", lora_dropout=0.05, task_type="CAUSAL_LM"
        ),
    )
    args = TrainingArguments(
        output_dir=output_dir,
        num_train_epochs=3,
        learning_rate=3e-3,
        warmup_steps=5,
        lr_scheduler_type="cosine",
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        report_to="none",
        remove_unused_columns=False,
    )
    llm.tokenizer.padding_side = "right"
    trainer = SFTTrainer(
        llm.model, args, train_dataset=rows, eval_dataset=valid, data_collator=DataCollatorForSeq2Seq(llm.tokenizer)
    )
    trainer.train()
    llm.model.save_pretrained(output_dir)


def test_model(ckpt_path: str = str(HERE / "sft_model")):
    llm = _load(ckpt_path)
    res = benchmark(llm, Dataset("valid"), 100)
    print(f"{res.accuracy=} {res.answer_rate=}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model, "load": load})
