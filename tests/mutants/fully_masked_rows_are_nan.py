import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from mutation import Mutant
from transformers.models.llama import modeling_llama

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy

attend_well = modeling_llama.eager_attention_forward


def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *args: Any, **kwargs: Any) -> Any:
    mask = attention_mask.masked_fill(attention_mask < 0, float("-inf"))
    return attend_well(module, query, key, value, mask, *args, **kwargs)


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    with mock.patch.object(modeling_llama, "eager_attention_forward", attend), computing(model, policy):
        yield


MUTANT = Mutant(
    id="P3",
    stage="generate",
    checks=("GEN-002", "GEN-007"),
    fault="attention masks with minus infinity, so that a row of padding has no weight left and turns NaN",
    source="unsloth#9848",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
