import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    generate = model.generate

    def generate_unmasked(**inputs: Any) -> Any:
        del inputs["attention_mask"]
        return generate(**inputs)

    with mock.patch.object(model, "generate", generate_unmasked), computing(model, policy):
        yield


MUTANT = Mutant(
    id="GEN-mask",
    stage="generate",
    checks=("GEN-006",),
    fault="the attention mask is not passed, and padding, which is the end token, is attended to",
    source="own: transformers only warns of it",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
