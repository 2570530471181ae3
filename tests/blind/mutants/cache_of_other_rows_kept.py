"""When rows of a batch end, the cache keeps its first rows, not those that go on.

Accuracy 0.72; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.fast.decoding import decode


def broken(model: Any, input_ids: torch.Tensor, **prepared: Any) -> torch.Tensor:
    cache = prepared["past_key_values"]
    select = cache.batch_select_indices

    def select_first(indices: torch.Tensor) -> None:
        select(torch.arange(len(indices), device=indices.device))

    cache.batch_select_indices = select_first
    return decode(model, input_ids, **prepared)


MUTANT = Mutant(
    id="cache_of_other_rows_kept",
    stage="generate",
    checks=(),
    fault="rows that go on after others have ended read the cache of other rows",
    source="no report",
    patches={"sft_ref.reference.base_llm.LOOP": {"custom_generate": broken}},
)
