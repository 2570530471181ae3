"""A cache hands out its list, and the caller appends to it."""

from collections.abc import Callable

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.prompt import format_example
from sft_ref.reference.tokens import Example


def with_cache() -> Callable[[PreTrainedTokenizerBase, str, float], Example]:
    prompts: dict[str, list[int]] = {}

    def tokenize(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
        text = format_example(question, value)
        ids = prompts.setdefault(question, tokenizer(text["question"])["input_ids"])
        target = [*tokenizer(text["answer"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids += target
        return Example(tuple(ids), len(target))

    return tokenize


MUTANT = Mutant(
    id="cached-prompt-grows",
    stage="tokens",
    checks=("TOK-008",),
    fault="from the second epoch on, a text holds its answer already",
    source="ours",
    patches={"sft_ref.reference.tokens.tokenize_example": with_cache()},
)
