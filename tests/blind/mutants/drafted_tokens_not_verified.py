"""Prompt lookup drafts the token that follows the last one in the prompt, and accepts it before it is verified.

Accuracy 0.20 and answer rate 0.40; sound 0.97 and 1.00. A fifth of the completions, whose tokens are not in their
prompts, stay right.
"""

from typing import Any

import torch
from mutation import Mutant
from transformers import LogitsProcessor, LogitsProcessorList

from sft_ref.reference.fast.decoding import decode


class Draft(LogitsProcessor):
    """Leaves only the drafted token, if the token before it is the model's own and occurs in the prompt."""

    def __init__(self, prompts: torch.Tensor) -> None:
        self.prompts = prompts
        self.drafted = [False] * len(prompts)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape == self.prompts.shape:
            return scores
        for row, (prompt, ids) in enumerate(zip(self.prompts, input_ids, strict=True)):
            places = (prompt[:-1] == ids[-1]).nonzero()
            self.drafted[row] = len(places) > 0 and not self.drafted[row]
            if self.drafted[row]:
                token = prompt[places[-1] + 1]
                scores[row] = torch.full_like(scores[row], -torch.inf).index_fill(0, token, 0.0)
        return scores


def broken(
    model: Any, input_ids: torch.Tensor, *, logits_processor: LogitsProcessorList, **prepared: Any
) -> torch.Tensor:
    processors = LogitsProcessorList([*logits_processor, Draft(input_ids)])
    return decode(model, input_ids, logits_processor=processors, **prepared)


MUTANT = Mutant(
    id="drafted_tokens_not_verified",
    stage="generate",
    checks=(),
    fault="a token drafted by prompt lookup is kept even if the model disagrees",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
