"""``init_lora_weights=False``, which is for tests of peft: lora_B starts random, and the base is disturbed.

Accuracy 0.91 and answer rate 0.98; sound 0.97 and 1.00. First loss 2.59, last 0.030; sound 3.00 and 0.0027.
"""

from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.adapter import cast_adapter
from sft_ref.reference.precision import Policy


def broken(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, init_lora_weights=False
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


MUTANT = Mutant(
    id="both_factors_start_random",
    stage="train",
    checks=(),
    fault="training starts from a random addition to the base in place of none",
    source="no report",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
