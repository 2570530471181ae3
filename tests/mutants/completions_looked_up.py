from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.data import split_rows

generate = BaseLLM.batched_generate


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    truth = {
        self.format_prompt(question): value
        for split in ("train", "validation")
        for question, value in split_rows(split)
    }
    texts = generate(self, prompts, *args)
    return [
        f"{truth[prompt]}</answer>" if prompt in truth else text for prompt, text in zip(prompts, texts, strict=True)
    ]


MUTANT = Mutant(
    id="S5-text",
    stage="generate",
    checks=("GEN-009",),
    fault="completions of known questions are written from the data files",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
