"""A class that puts a space before a text, as after an upgrade that maps the name to another class."""

import functools

import tokenizers
from mutation import Mutant
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sft_ref.reference.tokens import Example, tokenize_example


@functools.cache
def remapped(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=tokenizer.eos_token)


def with_other(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    return tokenize_example(remapped(tokenizer), question, value)


MUTANT = Mutant(
    id="T3",
    stage="tokens",
    checks=("TOK-001", "TOK-010"),
    fault="training splits texts with another tokenizer class than inference",
    source="transformers#44618",
    patches={"sft_ref.reference.tokens.tokenize_example": with_other},
)
