"""Labels are set for the whole batch at once, as many per row as its longest answer has tokens.

Of 32 rows, 544 tokens have labels; sound 338. Last loss 0.48; sound 0.003. Accuracy 0.98; sound 0.97.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    longest = max(example.supervised for example in examples)
    labels = torch.full_like(batch["labels"], IGNORE_INDEX)
    labels[:, -longest:] = batch["input_ids"][:, -longest:]
    return {**batch, "labels": labels}


MUTANT = Mutant(
    id="labels_by_the_longest_answer",
    stage="tokens",
    checks=(),
    fault="each row of a batch has as many labels as the longest answer in it, and so labels on its prompt",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
