"""The batches that reach the model in training: their texts, and the loss and the gradient at the logits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.steps import StepLoss
from sft_ref.reference.tokens import IGNORE_INDEX


class BatchRecorder:
    """Records the forward passes of one optimizer step at a time.

    The model is often called without labels, so that those of the training data are looked up by the ids.

    Attributes:
        first: the first batch, with labels; None if one of its texts is not in the training data.
    """

    def __init__(self, texts: Sequence[TrainingExample]) -> None:
        self.first: Batch | None = None
        self._labels = {each.ids: each.labels for each in texts}
        self._indices = {ids: itertools.cycle(rows) for ids, rows in _rows_by_text(texts).items()}
        self._has_begun = False
        self._targets: torch.Tensor | None = None
        self._is_sampled = False
        self._reset()

    def _reset(self) -> None:
        self._rows: list[int | None] = []
        self._tokens, self._losses = 0, torch.zeros(2)
        self._is_known = True
        self._products = torch.zeros(2)

    def before_forward(self, ids: torch.Tensor | None, mask: torch.Tensor | None, *, is_sampled: bool) -> None:
        """Looks up the texts of a batch; a mask that has another shape than the ids does not show the padding."""
        self._is_sampled, self._targets = is_sampled, None
        if ids is None or ids.dim() != 2:  # noqa: PLR2004
            self._is_known = False
            return
        ids = ids.detach().cpu()
        flat = mask is not None and mask.shape == ids.shape
        masks = mask.detach().cpu().bool() if mask is not None and flat else torch.ones_like(ids, dtype=torch.bool)
        masks = torch.stack([self._mask_of_text(row, attended) for row, attended in zip(ids, masks, strict=True)])
        labels = torch.full_like(ids, IGNORE_INDEX)
        texts = [tuple(row[own].tolist()) for row, own in zip(ids, masks, strict=True)]
        for row, text in enumerate(texts):
            self._rows.append(next(self._indices[text]) if text in self._indices else None)
            if text in self._labels:
                labels[row, masks[row]] = torch.tensor(self._labels[text])
        if all(text in self._labels for text in texts):
            self._targets = labels[:, 1:]
            if not self._has_begun:
                self.first = Batch(ids, masks.long(), labels)
        self._has_begun = True

    def _mask_of_text(self, row: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The attended tokens; if they are no known text, those without equal tokens before or behind one."""
        if tuple(row[mask].tolist()) in self._labels:
            return mask
        begins, ends = (int((line != line[0]).int().argmax()) for line in (row, row.flip(0)))
        spans = [(at, len(row)) for at in range(begins + 1)] + [(0, len(row) - at) for at in range(ends + 1)]
        for begin, end in spans:
            if tuple(row[begin:end].tolist()) in self._labels:
                places = torch.arange(len(row))
                return (places >= begin) & (places < end)
        return mask

    def after_head(self, logits: torch.Tensor) -> None:
        """Computes the loss of a batch from its logits: those of all positions, or of the labelled ones alone."""
        targets, self._targets = self._targets, None
        if targets is None:
            self._is_known = False
            return
        labelled = targets != IGNORE_INDEX
        chosen = targets[labelled].to(logits.device)
        if logits.shape[:-1] not in ((labelled.shape[0], labelled.shape[1] + 1), (1, len(chosen))):
            self._is_known = False
            return
        likelihoods = _at(labelled, logits.detach()).log_softmax(-1)
        own = likelihoods.gather(-1, chosen[:, None])
        self._losses -= torch.stack([own.sum(), likelihoods.mean(-1).sum()]).cpu()
        self._tokens += len(chosen)
        if self._is_sampled and logits.requires_grad:
            expected = likelihoods.exp().scatter_add(-1, chosen[:, None], torch.full_like(own, -1.0))

            def note(gradient: torch.Tensor) -> None:
                found = _at(labelled, gradient.detach())
                self._products += torch.stack([(found * expected).sum(), (expected * expected).sum()]).cpu()

            logits.register_hook(note)

    def take(self) -> dict[str, Any]:
        """The fields of a `RecordedStep`; begins the next step."""
        mean = (self._losses / self._tokens).tolist() if self._is_known and self._tokens else None
        found, expected = self._products.tolist()
        taken = {
            "rows": tuple(self._rows),
            "loss": StepLoss(*mean) if mean else None,
            "gradient_scale": found * self._tokens / expected if mean and expected else None,
        }
        self._reset()
        return taken


def _at(labelled: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """The logits that predict the labelled tokens, in fp32: (labelled tokens, vocabulary)."""
    if logits.shape[1] == labelled.shape[1] + 1:
        logits = logits[:, :-1][labelled.to(logits.device)]
    return logits.reshape(-1, logits.shape[-1]).float()


def _rows_by_text(texts: Sequence[TrainingExample]) -> dict[tuple[int, ...], list[int]]:
    """The rows of each text; several rows may have the same text, and take turns."""
    rows = defaultdict(list)
    for row, text in enumerate(texts):
        rows[text.ids].append(row)
    return rows
