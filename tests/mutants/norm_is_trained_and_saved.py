"""The last norm is trained whole and saved with the adapter: nothing is lost, yet the base is no longer the base."""

from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.precision import Policy


def with_norm(model: Any, _policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", modules_to_save=["norm"], r=rank, lora_alpha=alpha
    )
    return get_peft_model(model, config, autocast_adapter_dtype=False)


MUTANT = Mutant(
    id="norm",
    stage="train",
    checks=("TRN-009",),
    fault="a norm of the base is trained along with the adapter, and saved with it",
    source="our own; no known report",
    patches={"sft_ref.reference.adapter.add_adapter": with_norm},
    retrain=True,
)
