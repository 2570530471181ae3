from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    lengths = [len(self.tokenizer(prompt)["input_ids"]) for prompt in prompts for _ in range(each)]
    kept: list[Any] = []
    generate = self.model.generate

    def keep(**inputs: Any) -> Any:
        kept.append(generate(**inputs))
        return kept[0]

    with mock.patch.object(self.model, "generate", keep):
        complete(self, prompts, each, temperature)
    rows = [row[length:] for row, length in zip(kept[0], lengths, strict=True)]
    return self.tokenizer.batch_decode(rows, skip_special_tokens=True)


MUTANT = Mutant(
    id="S8-slice",
    stage="generate",
    checks=("GEN-013",),
    fault="prompts are cut off at the sum of their attention mask, which padding on the left moves",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
