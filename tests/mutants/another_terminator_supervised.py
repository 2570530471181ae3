"""The text ends in a token that generation does not stop at."""

from dataclasses import replace

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.tokens import Example, tokenize_example


def other_end(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value)
    [end] = tokenizer("<|endoftext|>")["input_ids"]
    return replace(example, input_ids=(*example.input_ids[:-1], end))


MUTANT = Mutant(
    id="M2",
    stage="tokens",
    checks=("TOK-007", "TOK-010"),
    fault="texts end in <|endoftext|>, and generation waits for <|im_end|>",
    source="axolotl#3754",
    patches={"sft_ref.reference.tokens.tokenize_example": other_end},
)
