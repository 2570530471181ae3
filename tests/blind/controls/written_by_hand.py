"""The adapter's two files are written without peft, and the configuration has the keys that matter only.

Accuracy 0.97; the reference 0.97.
"""

import json
from pathlib import Path
from typing import Any

from mutation import Control
from peft import get_peft_model_state_dict
from plain_loop import PLAIN, PlainLoop
from safetensors.torch import save_file

from sft_ref.io.lora_config import CONFIG, WEIGHTS


class WritesByHand(PlainLoop):
    def _save(self, model: Any, folder: Path) -> None:
        config = model.peft_config["default"]
        table = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": config.base_model_name_or_path,
            "r": config.r,
            "lora_alpha": config.lora_alpha,
            "target_modules": sorted(config.target_modules),
        }
        tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(table), encoding="utf-8")


CONTROL = Control(
    "written_by_hand",
    "adapter and a short configuration are written without peft",
    lambda: WritesByHand("written_by_hand", convention=PLAIN),
)
