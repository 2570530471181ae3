"""Generation ends as soon as any row of a batch has ended, in place of all.

Accuracy 0.44; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.fast.decoding import decode


def broken(model: Any, input_ids: torch.Tensor, *, stopping_criteria: Any, **prepared: Any) -> torch.Tensor:
    def any_ended(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        ended: torch.Tensor = stopping_criteria(ids, scores)
        return ended.any().expand(len(ids))

    return decode(model, input_ids, stopping_criteria=any_ended, **prepared)  # type: ignore[arg-type]  # a function


MUTANT = Mutant(
    id="batch_stops_with_its_first_row",
    stage="generate",
    checks=(),
    fault="the first row of a batch that ends stops all others",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
