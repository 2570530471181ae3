"""The ids of ordinary tokens are those of other tokens, in training and at inference."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from mutation import Mutant

from sft_ref.reference.models import load_tokenizer


def permuted(folder: Path) -> Any:
    """Every token but the special ones gets the id of the next."""
    tokenizer = load_tokenizer(folder)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["content"] for token in state["added_tokens"]}
    names = [name for name in state["model"]["vocab"] if name not in special]
    ids = [state["model"]["vocab"][name] for name in names]
    state["model"]["vocab"].update(zip(names, [*ids[1:], ids[0]], strict=True))
    tokenizer._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(state))
    return tokenizer


MUTANT = Mutant(
    id="permuted",
    stage="tokens",
    checks=("TOK-012",),
    fault="the vocabulary is permuted throughout",
    source="our own; no known report",
    patches={
        "sft_ref.reference.models.load_tokenizer": permuted,
        "sft_ref.reference.base_llm.load_tokenizer": permuted,
    },
    retrain=True,
)
