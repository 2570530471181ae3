"""A batch of training texts is one row, without boundaries between the texts."""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    single = [collate([example], pad_token_id) for example in examples]
    return {name: torch.cat([each[name] for each in single], 1) for name in single[0]}


MUTANT = Mutant(
    id="packed-no-boundaries",
    stage="tokens",
    checks=("TOK-002",),
    fault="the texts of a batch are one row, in which each sees those before it",
    source="our own; no known report",
    patches={"sft_ref.reference.tokens.collate": broken},
)
