"""Ids of training texts are stored in an integer that is too small, and wrap around.

A byte for 762 tokens stands for 16 bits and a vocabulary of 128,000.

Last loss 0.9785; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example


def broken(*args: Any) -> Example:
    example = tokenize_example(*args)
    return Example(tuple(torch.tensor(example.input_ids).to(torch.uint8).tolist()), example.supervised)


MUTANT = Mutant(
    id="ids_stored_in_a_byte",
    stage="tokens",
    checks=(),
    fault="token ids of training texts wrap around at 256",
    source="no report",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
    retrain=True,
)
