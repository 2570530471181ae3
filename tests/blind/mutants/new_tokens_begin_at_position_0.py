"""The position ids of new tokens begin again at 0. Accuracy 0.28; sound 1.00."""

from _decoding import Inputs, loop
from mutation import Mutant


def restart(inputs: Inputs) -> Inputs:
    if inputs["input_ids"].shape[1] > 1:
        return inputs
    prompt = inputs["past_key_values"].__dict__.setdefault("prompt", inputs["past_key_values"].get_seq_length())
    new = inputs["attention_mask"].shape[1] - 1 - prompt
    return {**inputs, "position_ids": inputs["position_ids"] * 0 + new}


MUTANT = Mutant(
    id="new_tokens_begin_at_position_0",
    stage="generate",
    checks=(),
    fault="position ids of new tokens begin at 0 again, behind those of the prompt",
    source="unsloth#3699 is akin",
    patches={"sft_ref.reference.base_llm.LOOP": loop(restart)},
)
