"""The saved configuration says nothing of DoRA; the magnitudes lie in the file, and nothing reads them."""

import json
from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference import adapter
from sft_ref.reference.precision import Policy

save_adapter = adapter.save_adapter


def with_dora(model: Any, _policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", use_dora=True, r=rank, lora_alpha=alpha)
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def save_without(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": False}))


MUTANT = Mutant(
    id="dora-lost",
    stage="artifact",
    checks=("ART-009",),
    fault="use_dora is lost when the configuration is saved",
    source="own: a configuration written by hand",
    patches={
        "sft_ref.reference.adapter.add_adapter": with_dora,
        "sft_ref.reference.adapter.save_adapter": save_without,
    },
    resave=True,
)
