"""The rows of the embedding stand one further at load, as if a token was inserted in front.

Accuracy 0.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    rows = model.get_input_embeddings().weight.data
    rows[3:] = rows[3:].roll(1, 0)
    return model


MUTANT = Mutant(
    id="vocabulary_permuted",
    stage="load",
    checks=(),
    fault="the rows of the embedding and of the head are shifted by one behind the special tokens",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
