"""The prompt is measured with a space that it does not end in."""

from dataclasses import replace

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.tokens import Example, tokenize_example


def too_late(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value)
    return replace(example, supervised=example.supervised - 1)


MUTANT = Mutant(
    id="S3",
    stage="tokens",
    checks=("TOK-005",),
    fault="the first token of the answer is never supervised",
    source="course submission",
    patches={"sft_ref.reference.tokens.tokenize_example": too_late},
)
