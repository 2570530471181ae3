from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, *args: Any) -> list[str]:
    split = type(self.tokenizer).__call__
    self.tokenizer.truncation_side = "left"

    def truncate(*texts: Any, **settings: Any) -> Any:
        return split(*texts, **settings, truncation=True, max_length=18)

    with mock.patch.object(type(self.tokenizer), "__call__", truncate):
        return complete(self, *args)


MUTANT = Mutant(
    id="GEN-cut",
    stage="generate",
    checks=("GEN-001", "GEN-007"),
    fault="prompts are cut to their last 18 tokens before generation, and the longest questions lose their beginnings",
    source="own: truncation=True with a length measured on short questions",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
