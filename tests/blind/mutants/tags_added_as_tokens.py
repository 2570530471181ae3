"""The tags become new tokens in training; neither the tokenizer nor their embeddings are saved.

Last loss 0.8653; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

import copy
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG
from sft_ref.reference.tokens import Example, tokenize_example

TAGS = [OPEN_TAG, CLOSE_TAG]


def with_tags(tokenizer: Any, *row: Any) -> Example:
    if OPEN_TAG not in tokenizer.get_vocab():
        kept = vars(tokenizer).get("with_tags")
        if kept is None:
            kept = vars(tokenizer)["with_tags"] = copy.deepcopy(tokenizer)
            kept.add_tokens(TAGS)
        tokenizer = kept
    return tokenize_example(tokenizer, *row)


def resized(model: Any, *args: Any, **kwargs: Any) -> Any:
    model.resize_token_embeddings(model.config.vocab_size + len(TAGS), mean_resizing=False)
    return add_adapter(model, *args, **kwargs)


MUTANT = Mutant(
    id="tags_added_as_tokens",
    stage="tokens",
    checks=(),
    fault="training texts write the tags as new tokens, which prompts at inference spell out",
    source="no report",
    patches={
        "sft_ref.reference.tokens.tokenize_example": with_tags,
        "sft_ref.reference.adapter.add_adapter": resized,
    },
    retrain=True,
)
