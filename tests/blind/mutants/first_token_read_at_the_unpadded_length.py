"""The first new token is read where a prompt without padding would end; prompts are padded on the left.

Accuracy 0.39 and answer rate 0.52; sound 0.97 and 1.00. The longest row of a batch, and a prompt alone, stay right.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.fast.decoding import decode


class ReadsTooEarly:
    """A model whose last logits are those of the token whose index is the number of tokens, less one."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        if input_ids.shape[1] == 1:
            return self.model(input_ids=input_ids, attention_mask=attention_mask, **inputs)
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **inputs | {"logits_to_keep": 0})
        rows = torch.arange(len(input_ids), device=input_ids.device)
        output.logits = output.logits[rows, attention_mask.sum(1) - 1].unsqueeze(1)
        return output

    def get_output_embeddings(self) -> Any:
        return self.model.get_output_embeddings()


def broken(model: Any, input_ids: torch.Tensor, **prepared: Any) -> torch.Tensor:
    return decode(ReadsTooEarly(model), input_ids, **prepared)  # type: ignore[arg-type]  # stands in for a model


MUTANT = Mutant(
    id="first_token_read_at_the_unpadded_length",
    stage="generate",
    checks=(),
    fault="the first new token of a padded row is predicted from a token before the prompt's end",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
