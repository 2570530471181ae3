"""The tokenizer has the vocabulary of the base without its merges, and splits texts into letters."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from mutation import Mutant

from sft_ref.reference.models import load_tokenizer


def unmerged(folder: Path) -> Any:
    tokenizer = load_tokenizer(folder)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["merges"] = []
    tokenizer._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(state))
    return tokenizer


MUTANT = Mutant(
    id="unmerged",
    stage="tokens",
    checks=("TOK-012",),
    fault="texts are split into letters: the merges of the tokenizer are lost",
    source="our own; no known report",
    patches={
        "sft_ref.reference.models.load_tokenizer": unmerged,
        "sft_ref.reference.base_llm.load_tokenizer": unmerged,
    },
    retrain=True,
)
