"""PiSSA, converted on saving to a plain adapter of twice the rank, which fits the whole base."""

from pathlib import Path
from typing import Any

import torch
from mutation import Control
from peft import PeftModel
from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.instruments.deltas import measure_init_deltas


class Converted(PlainLoop):
    def _begin(self, model: PeftModel, folder: Path) -> dict[str, torch.Tensor]:
        config: Any = model.peft_config["default"]
        config.init_lora_weights = True  # conversion wants to load the start without another one
        self.start = folder.parent / f"{folder.name}_start" / "adapter"
        model.save_pretrained(str(self.start), save_embedding_layers=False)
        config.init_lora_weights = "pissa"
        return measure_init_deltas(model, self._load_base(torch.float32))

    def _save(self, model: PeftModel, folder: Path) -> None:
        converted: dict[str, Any] = {"path_initial_model_for_weight_conversion": str(self.start)}
        model.save_pretrained(str(folder), save_embedding_layers=False, **converted)


CONTROL = Control(
    "pissa_converted",
    "the adapter starts with the main components of the base, and is saved as a plain one of twice the rank",
    lambda: Converted(
        "pissa_converted", convention=PLAIN, lora={"target_modules": "all-linear", "init_lora_weights": "pissa"}
    ),
)
