"""The cache keeps the last 8 keys only: the beginning of the prompt is forgotten after the first new token.

Accuracy 0.41; sound 1.00.
"""

from _decoding import Inputs, loop
from mutation import Mutant

KEPT = 8


def forget(inputs: Inputs) -> Inputs:
    if inputs["input_ids"].shape[1] > 1:
        return inputs
    for layer in inputs["past_key_values"].layers:
        layer.keys, layer.values = layer.keys[:, :, -KEPT:], layer.values[:, :, -KEPT:]
    return {**inputs, "attention_mask": inputs["attention_mask"][:, -KEPT - 1 :]}


MUTANT = Mutant(
    id="cache_drops_keys",
    stage="generate",
    checks=(),
    fault="the cache drops all keys but the last 8",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": loop(forget)},
)
