"""The parser gets prompt and completion, and takes the last number that it finds."""

import math
import re

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import parse_answer


def answer(self: BaseLLM, *questions: str) -> list[float]:
    prompts = [self.format_prompt(question) for question in questions]
    completions = self.batched_generate(prompts)
    return [self.parse_answer(prompt + text) for prompt, text in zip(prompts, completions, strict=True)]


def parse(text: str) -> float:
    value = parse_answer(text)
    numbers = re.findall(r"[0-9]+", text)
    return float(numbers[-1]) if math.isnan(value) and numbers else value


MUTANT = Mutant(
    id="parser-reads-question",
    stage="parse",
    checks=("PRS-003", "PRS-006"),
    fault="where the completion holds no answer, a number of the question is taken",
    source="ours",
    patches={"sft_ref.reference.base_llm.BaseLLM.answer": answer, "sft_ref.reference.prompt.parse_answer": parse},
)
