"""Computes the teacher-forced loss of the true answer: one forward pass, more sensitive than counting right answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.reference.tokens import IGNORE_INDEX

from .steps.evaluation_mode import evaluation_mode


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Pads rows on the right to one length: int64 of shape (rows, longest)."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def forward(model: Any, batch: Batch) -> torch.Tensor:  # noqa: ANN401  # whatever `load` gave
    """Returns the logits of a batch, without dropout and gradients: (rows, tokens, vocabulary)."""
    device = next(model.parameters()).device
    ids, mask = batch.input_ids.to(device), batch.attention_mask.to(device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with evaluation_mode(model), torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    return logits


def row_losses(model: Any, batch: Batch) -> torch.Tensor:  # noqa: ANN401
    """Mean cross-entropy of each row's supervised tokens, in nat, as float64 on the CPU."""
    return losses_of(forward(model, batch), batch)


def losses_of(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Computes `row_losses` from logits."""
    supervised = batch.labels[:, 1:].cpu() != IGNORE_INDEX
    return token_losses(logits, batch.labels).sum(1) / supervised.sum(1).clamp(min=1)


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each label after the first, in nat, as float64 on the CPU: (rows, tokens - 1).

    Args:
        logits: (rows, tokens, vocabulary); converted to fp32.
        labels: (rows, tokens), not shifted; the loss of `IGNORE_INDEX` is 0.
    """
    logits, due = logits[:, :-1].float().cpu(), labels[:, 1:].cpu()
    each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), due, ignore_index=IGNORE_INDEX, reduction="none")
    return each.double()


def text_losses(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:  # noqa: ANN401
    """Computes `token_losses` of rows of token ids, padded on the right; the losses of padding are meaningless."""
    ids, mask = pad(rows, 0), pad([(1,) * len(row) for row in rows], 0)
    with torch.inference_mode():
        return token_losses(model(input_ids=ids, attention_mask=mask, use_cache=False).logits, ids)
