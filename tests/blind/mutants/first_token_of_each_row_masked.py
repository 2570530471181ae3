"""The attention mask of a training batch begins one token late, so the first token of each prompt is never read.

The position ids, which are counted from the mask, are one too small as well. When asked, nothing is hidden. Last loss
0.052; sound 0.003. Accuracy 0.99; sound 0.97.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    mask = torch.zeros_like(batch["attention_mask"])
    for row, example in enumerate(examples):
        mask[row, -len(example.input_ids) + 1 :] = 1
    return batch | {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


MUTANT = Mutant(
    id="first_token_of_each_row_masked",
    stage="tokens",
    checks=(),
    fault="off by one, the attention mask in training hides the first token of every prompt",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
