"""What is minimised in training: the cross entropy of supervised tokens, whose logits alone are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from .head import head_fed
from .tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def batch_loss(
    model: PreTrainedModel | PeftModel,
    batch: Mapping[str, torch.Tensor],
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of a batch as `sft_ref.reference.tokens.collate` makes it; see `supervised_loss`."""
    labels = batch["labels"]
    fed = {name: tensor for name, tensor in batch.items() if name != "labels"}
    with head_fed(model, lambda hidden: hidden[:, :-1][_predicting(labels)].unsqueeze(0)):
        logits = model(**fed).logits
    return supervised_loss(logits[0], labels, num_items_in_batch=num_items_in_batch)


def _predicting(labels: torch.Tensor) -> torch.Tensor:
    """Which positions but the last predict a supervised token: bool, (batch, tokens - 1)."""
    return labels[:, 1:] != IGNORE_INDEX


def supervised_loss(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross entropy, in nat, of the supervised tokens.

    Args:
        logits: (supervised tokens, vocabulary), row by row; computed with in fp32.
        labels: (batch, tokens), `sft_ref.reference.tokens.IGNORE_INDEX` where not supervised.
        num_items_in_batch: supervised tokens in all micro-batches of one optimizer step; None counts this one's.
    """
    due = labels[:, 1:][_predicting(labels)]
    count = len(due) if num_items_in_batch is None else num_items_in_batch
    return torch.nn.functional.cross_entropy(logits.float(), due, reduction="sum") / count
