"""A template writes the first token, and the tokenizer adds it again."""

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_prompt


def with_two(self: BaseLLM, question: str) -> str:
    return f"{self.tokenizer.bos_token}{self.tokenizer.bos_token}{format_prompt(question)}"


MUTANT = Mutant(
    id="T1",
    stage="prompt",
    checks=("PRM-002", "PRM-003", "PRM-004"),
    fault="the beginning-of-sequence token stands twice at inference",
    source="OpenRLHF#393",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": with_two},
)
