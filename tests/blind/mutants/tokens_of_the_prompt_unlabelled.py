"""Labels are masked by value: a token of the answer that occurs in the prompt carries none.

Accuracy 1.00; sound 1.00.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    for row, example in enumerate(examples):
        prompt = torch.tensor(example.input_ids[: -example.supervised])
        labels = batch["labels"][row]
        labels[torch.isin(labels, prompt)] = IGNORE_INDEX
    return batch


MUTANT = Mutant(
    id="tokens_of_the_prompt_unlabelled",
    stage="tokens",
    checks=(),
    fault="an answer token that also occurs in the prompt carries no label, as the tag's and many digits do",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
