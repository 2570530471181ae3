"""The space becomes a token of its own, which training never showed there."""

from mutation import Mutant

from sft_ref import BaseLLM


def with_space(_self: BaseLLM, question: str) -> str:
    return f"{question.strip()} <answer> "


MUTANT = Mutant(
    id="M6",
    stage="prompt",
    checks=("PRM-003", "PRM-004"),
    fault="the prompt ends in a space at inference, and not in training",
    source="unslothai/notebooks#149",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": with_space},
)
