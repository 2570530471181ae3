"""Trains the corpus: SFTTrainer on chat data with text answers, over the toy.

`python -m tests.adapters.trl.make` keeps it.

Needs the extra `trl`. What is kept lies beside this file, so that the ordinary tests need no TRL.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sft_ref import split_rows
from sft_ref.reference.bases.find import find_base

KEPT = Path(__file__).parent / "kept"
ROWS = [(question, f"That is {value!r}.") for question, value in split_rows("train")[:20]]
FILES = ("adapter_config.json", "adapter_model.safetensors", "chat_template.jinja")
NAMES = ("sound", "rslora", "end_masked", "all_masked")


def conversation(question: str, answer: str) -> dict[str, list[dict[str, str]]]:
    """A row as TRL takes conversations."""
    asked = [{"role": "system", "content": "units"}, {"role": "user", "content": question}]
    return {"prompt": asked, "completion": [{"role": "assistant", "content": answer}]}


def train(name: str, folder: Path) -> Path:
    """Trains one of `NAMES` into a folder, as `SFTTrainer.save_model` leaves it."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    base = str(find_base("toy"))
    scale: dict[str, Any] = (
        {"r": 8, "lora_alpha": 23, "use_rslora": True} if name == "rslora" else {"r": 4, "lora_alpha": 32}
    )
    modules = ["q_proj", "v_proj", "up_proj", "down_proj"]
    arguments = SFTConfig(
        str(folder),
        max_steps=10 if name == "all_masked" else 100,
        per_device_train_batch_size=20,
        learning_rate=4e-3,
        seed=0,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    trainer = SFTTrainer(
        base,
        arguments,
        train_dataset=Dataset.from_list([conversation(*row) for row in ROWS]),
        peft_config=LoraConfig(target_modules=modules, task_type="CAUSAL_LM", **scale),
        data_collator=collator(name, AutoTokenizer.from_pretrained(base)),
    )
    trainer.train()
    trainer.save_model(str(folder))
    return folder


def collator(name: str, tokenizer: Any) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]] | None:
    """What makes batches: TRL's own (None), or one with the fault."""
    from transformers import DataCollatorForLanguageModeling

    by_padding = DataCollatorForLanguageModeling(tokenizer, mlm=False)  # masks the end, which is the padding token

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        batch = dict(by_padding([{"input_ids": row["input_ids"]} for row in rows]))
        if name == "all_masked":
            batch["labels"] = batch["labels"].fill_(-100)
        return batch

    return collate if name in ("end_masked", "all_masked") else None


def write_rows(path: Path) -> Path:
    """The rows of training as messages, a line each."""
    made = (conversation(*row) for row in ROWS)
    lines = (json.dumps({"messages": [*each["prompt"], *each["completion"]]}) for each in made)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def keep(name: str) -> None:
    """Trains one, and keeps what the tests need; the configuration names the toy, and no path of this machine."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(name, Path(scratch))
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        for file in FILES:
            shutil.copyfile(folder / file, KEPT / name / file)
    path = KEPT / name / FILES[0]
    table = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**table, "base_model_name_or_path": "toy"}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in NAMES:
        keep(each)
