"""A length chosen from short examples, and text cut at the right."""

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.tokens import Example, tokenize_example

LENGTH = 24


def cut(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value)
    prompt = len(example.input_ids) - example.supervised
    padded = (*example.input_ids[:LENGTH], tokenizer.eos_token_id)
    return Example(padded, min(example.supervised, max(1, len(padded) - prompt)))


MUTANT = Mutant(
    id="truncated-short",
    stage="tokens",
    checks=("TOK-005", "TOK-010"),
    fault="texts are cut to 24 tokens at the right, and the longest lose their targets",
    source="ours",
    patches={"sft_ref.reference.tokens.tokenize_example": cut},
)
