"""The stored configuration comes from a template that names q_proj and v_proj; all Linear layers were trained.

The reference refuses to load it, as 30 of its tensors have no place. Plain peft drops these without a word: accuracy
0.55; sound 0.97.
"""

import json
from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.io.lora_config import CONFIG
from sft_ref.reference.adapter import save_adapter


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["target_modules"] = ["q_proj", "v_proj"]
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")


MUTANT = Mutant(
    id="target_modules_of_a_template",
    stage="artifact",
    checks=(),
    fault="the stored configuration names two of the seven kinds of modules that have tensors in the file",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
