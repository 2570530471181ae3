"""The MLP is trained with four times the alpha (`alpha_pattern`), and the stored configuration loses the pattern.

The MLP's additions are loaded at a quarter of their strength. Accuracy 0.99; sound 0.97: the toy bears it, and two
of 100 completions differ from those of the sound training.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.adapter import cast_adapter, save_adapter
from sft_ref.reference.precision import Policy


def add_patterned(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    pattern = dict.fromkeys(["gate_proj", "up_proj", "down_proj"], 4 * alpha)
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, alpha_pattern=pattern
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def save_plain(model: Any, base: str, folder: Path) -> None:
    model.peft_config["default"].alpha_pattern = {}
    save_adapter(model, base, folder)


MUTANT = Mutant(
    id="alpha_pattern_lost",
    stage="artifact",
    checks=(),
    fault="the stored configuration loses the alpha of the MLP, which is four times that of attention",
    source="no report",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_patterned,
        "sft_ref.reference.adapter.save_adapter": save_plain,
    },
    retrain=True,
)
