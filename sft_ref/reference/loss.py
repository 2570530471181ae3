"""The training loss: the cross entropy of the supervised tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from sft_ref.reference.fast.head import logits_at

from .tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def batch_loss(
    model: PreTrainedModel | PeftModel,
    batch: Mapping[str, torch.Tensor],
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Returns the loss of a batch made by `tokens.collate`; see `supervised_loss`."""
    labels = batch["labels"]
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    predicting = torch.nn.functional.pad(labels[:, 1:] != IGNORE_INDEX, (0, 1))  # the last position predicts nothing
    return supervised_loss(logits_at(model, inputs, predicting), labels, num_items_in_batch=num_items_in_batch)


def supervised_loss(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Returns the mean cross entropy, in nat, of the supervised tokens.

    Args:
        logits: logits of shape (supervised tokens, vocabulary), row by row; converted to fp32.
        labels: labels of shape (batch, tokens), `tokens.IGNORE_INDEX` for unsupervised tokens.
        num_items_in_batch: supervised tokens in all micro-batches of one optimizer step; None counts this batch only.
    """
    targets = labels[:, 1:][labels[:, 1:] != IGNORE_INDEX]
    count = len(targets) if num_items_in_batch is None else num_items_in_batch
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum") / count
