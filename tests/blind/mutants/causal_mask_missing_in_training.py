"""In training, attention sees the tokens to come, and among them the answer.

Last loss 0.3189; sound 0.0027. Accuracy 0.72; sound 1.00.
"""

from typing import Any
from unittest import mock

import torch
from mutation import Mutant
from transformers.masking_utils import create_causal_mask

from sft_ref.reference.loss import batch_loss


def everything(_row: Any, _head: Any, query: torch.Tensor, _key: Any) -> torch.Tensor:
    return query >= 0


def unmasked(**kwargs: Any) -> Any:
    return create_causal_mask(**kwargs, or_mask_function=everything)


def broken(*args: Any) -> torch.Tensor:
    with mock.patch("transformers.models.llama.modeling_llama.create_causal_mask", unmasked):
        return batch_loss(*args)


MUTANT = Mutant(
    id="causal_mask_missing_in_training",
    stage="train",
    checks=(),
    fault="attention is not causal in training, so that each token sees the answer",
    source="no report",
    patches={"sft_ref.reference.training.batch_loss": broken},
    retrain=True,
)
