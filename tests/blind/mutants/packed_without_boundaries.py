"""A batch is packed into one row, and attention and positions do not begin anew at each text.

Last loss 1.5203; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    single = [collate([example], pad_token_id) for example in examples]
    packed = {name: torch.cat([each[name] for each in single], 1) for name in single[0]}
    return {**packed, "position_ids": packed["attention_mask"].cumsum(1) - 1}


MUTANT = Mutant(
    id="packed_without_boundaries",
    stage="tokens",
    checks=(),
    fault="all texts of a batch stand in one row, and each sees those before it",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
