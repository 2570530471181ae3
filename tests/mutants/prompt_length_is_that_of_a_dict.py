"""`len(tokenizer(prompt))` counts input_ids and attention_mask."""

from dataclasses import replace

from mutation import Mutant
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.tokens import Example, tokenize_example


def of_dict(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value)
    return replace(example, supervised=len(example.input_ids) - len(("input_ids", "attention_mask")))


MUTANT = Mutant(
    id="M5",
    stage="tokens",
    checks=("TOK-009",),
    fault="the prompt counts as two tokens long in every row, so that questions are supervised",
    source="trl#6105",
    patches={"sft_ref.reference.tokens.tokenize_example": of_dict},
)
