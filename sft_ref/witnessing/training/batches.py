"""Reads a batch as passed to the model's forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.witnessing.findings.observation import ObservedBatch
from sft_ref.witnessing.record.probes import LabelledIds

_MATRIX = 2


def observe_batch(args: tuple[Any, ...], kwargs: Mapping[str, Any], *, is_training: bool) -> ObservedBatch | None:
    """Returns the batch of a forward pass; None if it has no input_ids of shape (rows, tokens)."""
    ids = kwargs.get("input_ids", args[0] if args else None)
    if not isinstance(ids, torch.Tensor) or ids.dim() != _MATRIX:
        return None
    ids = ids.detach().cpu()
    mask = _like(kwargs.get("attention_mask"), ids)
    labels = _like(kwargs.get("labels"), ids)
    attended = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    due = torch.full_like(ids, IGNORE_INDEX) if labels is None else labels
    positions = _packed_positions(kwargs, ids)
    rows = (
        LabelledIds(tuple(ids[row][part].tolist()), tuple(due[row][part].tolist()))
        for row, own in enumerate(attended)
        for part in _texts(own.nonzero().flatten(), None if positions is None else positions[row])
    )
    return ObservedBatch(
        tuple(rows),
        ids.shape[1],
        has_labels=labels is not None,
        supervised_padding=int((due[:, 1:] != IGNORE_INDEX)[~attended[:, 1:]].sum()),
        is_packed=positions is not None or any(name in kwargs for name in ("cu_seq_lens_q", "seq_idx", "seq_lengths")),
        is_training=is_training,
    )


def _like(value: object, ids: torch.Tensor) -> torch.Tensor | None:
    """Returns the value on the CPU if it is a tensor of the shape of the ids; else None."""
    if isinstance(value, torch.Tensor) and value.shape == ids.shape:
        return value.detach().cpu()
    return None


def _packed_positions(kwargs: Mapping[str, Any], ids: torch.Tensor) -> torch.Tensor | None:
    """Returns token positions if several texts share a row, so that positions restart with each; else None."""
    positions = kwargs.get("position_ids")
    if not isinstance(positions, torch.Tensor) or positions.dim() != _MATRIX or positions.shape[1] != ids.shape[1]:
        return None
    positions = positions.detach().cpu().expand_as(ids)
    return positions if (positions[:, 1:] < positions[:, :-1]).any() else None


def _texts(places: torch.Tensor, positions: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    """Splits the places of a row's tokens into one tensor for each text."""
    if positions is None:
        return (places,)
    starts = (positions[places].diff() != 1).nonzero().flatten() + 1
    return places.tensor_split(starts)


class LossAlignment:
    """Compares the gradient at the logits with that of the labels' cross-entropy, over the batches of a step."""

    def __init__(self) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64)
        self._is_known = True

    def watch(self, logits: torch.Tensor, labels: torch.Tensor | None) -> None:
        """Registers a hook for the gradient of one forward pass's logits.

        Args:
            logits: (rows, tokens, vocabulary).
            labels: (rows, tokens), not shifted; None if unknown.
        """
        if labels is None or logits.shape[:-1] != labels.shape or not logits.requires_grad:
            self._is_known = False
            return
        due = labels[:, 1:].to(logits.device)
        supervised = due != IGNORE_INDEX
        expected = torch.softmax(logits.detach()[:, :-1][supervised].float(), -1)
        expected[torch.arange(len(expected)), due[supervised]] -= 1.0

        def note(gradient: torch.Tensor) -> None:
            found = gradient.detach()[:, :-1][supervised].float()
            whole = gradient.detach().float().pow(2).sum()
            sums = torch.stack([(found * expected).sum(), whole, expected.pow(2).sum()])
            self._sums += sums.double().cpu()

        logits.register_hook(note)

    @property
    def cosine(self) -> float | None:
        """Cosine of the two gradients; None if there was no gradient, or the labels are unknown."""
        product, found, expected = self._sums.tolist()
        if not self._is_known or not found > 0 or not expected > 0:
            return None
        return float(product / (found * expected) ** 0.5)
