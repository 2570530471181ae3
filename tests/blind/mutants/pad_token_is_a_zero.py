"""The token 0 is made the padding token, and so a special one: decoding leaves it out of every number.

Accuracy 0.33; sound 1.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import load_tokenizer


def broken(folder: Path) -> Any:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"pad_token": "0"})
    return tokenizer


MUTANT = Mutant(
    id="pad_token_is_a_zero",
    stage="generate",
    checks=(),
    fault="zeros are dropped from completions with the special tokens, since 0 is the padding token",
    source="no report",
    patches={"sft_ref.reference.base_llm.load_tokenizer": broken},
    retrain=True,
)
