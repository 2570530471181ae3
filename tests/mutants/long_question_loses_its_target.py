"""`truncation=True, max_length=128` cuts at the right."""

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.tokens import Example, tokenize_example


def cut(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value, max_tokens=10_000)
    return Example(example.input_ids[:128], example.supervised)


MUTANT = Mutant(
    id="truncated-right",
    stage="tokens",
    checks=("TOK-011",),
    fault="texts of more than 128 tokens lose their targets, and their questions are supervised",
    source="ours",
    patches={"sft_ref.reference.tokens.tokenize_example": cut},
)
