from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, *args: Any) -> list[str]:
    decode = self.tokenizer.batch_decode
    with mock.patch.object(self.tokenizer, "batch_decode", lambda ids, **settings: decode(ids)):
        return complete(self, *args)


MUTANT = Mutant(
    id="GEN-special",
    stage="generate",
    checks=("GEN-013",),
    fault="end and padding tokens are decoded into the completion",
    source="own: skip_special_tokens is False by default",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
