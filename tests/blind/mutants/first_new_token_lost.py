"""Completions are cut from behind the prompt and one token more, as if the tokenizer had put one in front.

Accuracy 0.17; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.fast.decoding import decode


def broken(model: Any, input_ids: torch.Tensor, **prepared: Any) -> torch.Tensor:
    prompt = input_ids.shape[1]
    whole = decode(model, input_ids, **prepared)
    return torch.cat([whole[:, :prompt], whole[:, prompt + 1 :]], 1)


MUTANT = Mutant(
    id="first_new_token_lost",
    stage="generate",
    checks=(),
    fault="the first new token is counted as one of the prompt's, and is missing in the completion",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
