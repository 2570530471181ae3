from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, *args: Any) -> list[str]:
    split = type(self.tokenizer).__call__

    def pad_right(*texts: Any, **settings: Any) -> Any:
        return split(*texts, **{**settings, "padding_side": "right"})

    with mock.patch.object(type(self.tokenizer), "__call__", pad_right):
        return complete(self, *args)


MUTANT = Mutant(
    id="GEN-right",
    stage="generate",
    checks=("GEN-007",),
    fault="prompts are padded on the right, and short rows go on after their padding",
    source="own: a tokenizer's default side; transformers only warns of it",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
