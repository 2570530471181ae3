"""Parsed answers are held in fp16: above 65,504 they are infinite, below that they have three digits.

Accuracy 0.77; sound 1.00.
"""

import torch
from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    return torch.tensor(parse_answer(text), dtype=torch.float16).item()


MUTANT = Mutant(
    id="answers_held_in_fp16",
    stage="parse",
    checks=(),
    fault="a parsed answer is rounded to fp16, and infinite if it is large",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
