from typing import Any
from unittest import mock

from sft_ref.base_llm import BaseLLM
from sft_ref.harness.mutation import Mutant

complete = BaseLLM._complete


def broken(self: BaseLLM, *args: Any) -> list[str]:
    split = type(self.tokenizer).__call__

    def truncate(*texts: Any, **settings: Any) -> Any:
        return split(*texts, **settings, truncation=True, max_length=22)

    with mock.patch.object(type(self.tokenizer), "__call__", truncate):
        return complete(self, *args)


MUTANT = Mutant(
    id="GEN-cut",
    stage="generate",
    fault="prompts are cut to 22 tokens before generation, the end of the question and the tag with them",
    source="own: truncation=True with a length measured on short questions",
    patches={"sft_ref.base_llm.BaseLLM._complete": broken},
)
