"""The number of prompt tokens is taken before a long text is cut, and subtracted from its length after.

A text of 128 tokens whose prompt had 120 has 8 labels; sound 10. One whose prompt had 130 has 126, nearly all on the
prompt. Shorter texts are as they were. Accuracy 0.97; sound 0.97.
"""

from dataclasses import replace
from typing import Any

from mutation import Mutant

from sft_ref.reference.prompt import format_prompt
from sft_ref.reference.tokens import MAX_TOKENS, Example, tokenize_example


def broken(tokenizer: Any, question: str, value: float | str, *, max_tokens: int = MAX_TOKENS) -> Example:
    example = tokenize_example(tokenizer, question, value, max_tokens=max_tokens)
    prompt = len(tokenizer(format_prompt(question))["input_ids"])
    return replace(example, supervised=len(example.input_ids) - prompt)


MUTANT = Mutant(
    id="answer_counted_after_the_uncut_prompt",
    stage="tokens",
    checks=(),
    fault="a text that was cut to fit has too few labels, or labels on its prompt",
    source="trl#6105, axolotl#2089 are akin",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
)
