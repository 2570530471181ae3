# Fine-tuning your own LLM with LoRA, step by step
# (the Trainer of part 3 with the response-only loss of part 4)
import os

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments

from .base_llm import BaseLLM
from .data import Dataset, benchmark

OUTPUT_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sft_model")
RESPONSE_TEMPLATE = "\n### Assistant:"


def load():
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, OUTPUT_DIR)
    llm.model.eval()
    return llm


# Step 1: the text
def format_example(llm, question, answer):
    return llm.format_prompt(question) + f" <answer>{round(answer, 3)}</answer>" + llm.tokenizer.eos_token


# Step 2: the collator, which finds the response in every row
class ResponseOnlyCollator:
    def __init__(self, tokenizer, response_template=RESPONSE_TEMPLATE):
        self.tokenizer = tokenizer
        self.template = tokenizer.encode(response_template, add_special_tokens=False)

    def response_start(self, ids):
        n = len(self.template)
        for start in range(len(ids) - n, -1, -1):
            if ids[start : start + n] == self.template:
                return start + n
        raise ValueError(f"response template not found in {self.tokenizer.decode(ids)!r}")

    def __call__(self, features):
        longest = max(len(f["input_ids"]) for f in features)
        input_ids, attention_mask, response_mask = [], [], []
        for f in features:
            ids = list(f["input_ids"])
            start = self.response_start(ids)
            pad = longest - len(ids)
            input_ids.append(ids + [self.tokenizer.pad_token_id] * pad)
            attention_mask.append([1] * len(ids) + [0] * pad)
            response_mask.append([0] * start + [1] * (len(ids) - start) + [0] * pad)
        input_ids = torch.tensor(input_ids)
        response_mask = torch.tensor(response_mask).bool()
        labels = input_ids.masked_fill(~response_mask, -100)
        return {"input_ids": input_ids, "attention_mask": torch.tensor(attention_mask), "labels": labels}


# Step 3: a sampler, batches of similar length but in random order
class LengthGroups(Sampler):
    def __init__(self, lengths, group, seed=0):
        self.lengths, self.group = lengths, group
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.lengths)

    def __iter__(self):
        order = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        mega = self.group * 8
        for i in range(0, len(order), mega):
            yield from sorted(order[i : i + mega], key=lambda j: -self.lengths[j])


# Step 4: the Trainer
class ResponseTrainer(Trainer):
    def _get_train_sampler(self, *args, **kwargs):
        return LengthGroups([len(r["input_ids"]) for r in self.train_dataset], self.args.train_batch_size)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs.logits[:, :-1].float()
        targets = labels[:, 1:]
        per_token = F.cross_entropy(
            logits.reshape(-1, logits.size(-1)), targets.reshape(-1), ignore_index=-100, reduction="none"
        ).view(targets.shape)
        # every row counts the same, however long its answer is
        mask = (targets != -100).float()
        loss = ((per_token * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()
        return (loss, outputs) if return_outputs else loss


def train_model(output_dir: str = OUTPUT_DIR, **kwargs):
    llm = BaseLLM()
    tokenizer = llm.tokenizer
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(llm.model, config)
    model.print_trainable_parameters()

    train_data = [{"input_ids": tokenizer.encode(format_example(llm, q, a))} for q, a in Dataset("train")]

    training_args = TrainingArguments(
        output_dir=output_dir,
        per_device_train_batch_size=32,
        num_train_epochs=4,
        learning_rate=4e-3,
        warmup_steps=10,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        logging_steps=25,
        save_strategy="no",
        remove_unused_columns=False,
        report_to="none",
    )
    trainer = ResponseTrainer(
        model=model,
        args=training_args,
        train_dataset=train_data,
        data_collator=ResponseOnlyCollator(tokenizer),
    )
    trainer.train()
    trainer.model.save_pretrained(output_dir)
    test_model(output_dir)


def test_model(ckpt_path: str = OUTPUT_DIR):
    llm = BaseLLM()
    llm.model = PeftModel.from_pretrained(llm.model, ckpt_path).eval()
    benchmark_result = benchmark(llm, Dataset("valid"), 100)
    print(f"accuracy: {benchmark_result.accuracy}, answer rate: {benchmark_result.answer_rate}")


if __name__ == "__main__":
    from fire import Fire

    Fire({"train": train_model, "test": test_model, "load": load})
