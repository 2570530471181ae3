"""The base class's default, left in place for testing."""

from mutation import Mutant

from sft_ref import BaseLLM


def with_template(self: BaseLLM, question: str) -> str:
    messages = [{"role": "user", "content": question.strip()}]
    return f"{self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)}<answer>"


MUTANT = Mutant(
    id="T5",
    stage="prompt",
    checks=("PRM-003", "PRM-004"),
    fault="a chat template is used at inference, and none in training",
    source="LlamaFactory#2509",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": with_template},
)
