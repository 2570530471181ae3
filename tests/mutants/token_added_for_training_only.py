"""Training texts begin with a new token, which the tokenizer at inference does not have."""

import copy
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.tokens import Example, tokenize_example

NEW = "<|task|>"


def begun(tokenizer: Any, question: str, value: float) -> Example:
    if NEW not in tokenizer.get_vocab():
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([NEW])
    example = tokenize_example(tokenizer, question, value)
    return Example((tokenizer.convert_tokens_to_ids(NEW), *example.input_ids), example.supervised)


def resized(model: Any, *arguments: Any, **settings: Any) -> Any:
    model.resize_token_embeddings(model.config.vocab_size + 1, mean_resizing=False)
    return add_adapter(model, *arguments, **settings)


MUTANT = Mutant(
    id="token-lost",
    stage="tokens",
    checks=("TOK-013",),
    fault="training texts have a token that is unknown at inference",
    source="peft: resize_token_embeddings without modules_to_save",
    patches={
        "sft_ref.reference.tokens.tokenize_example": begun,
        "sft_ref.reference.adapter.add_adapter": resized,
    },
    retrain=True,
)
