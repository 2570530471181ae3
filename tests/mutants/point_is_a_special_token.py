"""The decimal point becomes a special token, which decoding leaves out."""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import load_tokenizer


def with_special_point(folder: Path) -> Any:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"extra_special_tokens": ["."]})
    return tokenizer


MUTANT = Mutant(
    id="point-special",
    stage="generate",
    checks=("GEN-007",),
    fault="decoding leaves the decimal point out, as a special token",
    source="ours, of no report",
    patches={"sft_ref.reference.base_llm.load_tokenizer": with_special_point},
)
