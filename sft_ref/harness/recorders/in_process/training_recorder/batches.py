"""Records the batches that reach the model in training: their texts, loss, and gradient at the logits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.training import StepLoss
from sft_ref.reference.tokens import IGNORE_INDEX


class BatchRecorder:
    """Records the forward passes of one optimizer step at a time.

    The model is often called without labels, so the labels of the training data are looked up by token ids.

    Attributes:
        first: first batch, with labels; None if one of its texts is not in the training data.
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
        """Looks up the texts of a batch; a mask whose shape differs from the ids' does not show the padding."""
        self._is_sampled, self._targets = is_sampled, None
        if ids is None or ids.dim() != 2:  # noqa: PLR2004
            self._is_known = False
            return
        ids = ids.detach().cpu()
        flat = mask is not None and mask.shape == ids.shape
        attended = mask.tolist() if mask is not None and flat else torch.ones_like(ids).tolist()
        known, masks, labels = True, torch.zeros_like(ids), []
        for row, (tokens, own) in enumerate(zip(ids.tolist(), attended, strict=True)):
            places = self._places(tokens, [place for place, is_own in enumerate(own) if is_own])
            text = tuple([tokens[place] for place in places])
            known &= text in self._labels
            self._rows.append(next(self._indices[text]) if text in self._indices else None)
            targets = dict(zip(places, self._labels.get(text, ()), strict=False))
            labels.append([targets.get(place, IGNORE_INDEX) for place in range(len(tokens))])
            masks[row, places] = 1
        if known:
            self._targets = torch.tensor(labels)[:, 1:]
            if not self._has_begun:
                self.first = Batch(ids, masks, torch.tensor(labels))
        self._has_begun = True

    def _places(self, tokens: list[int], attended: list[int]) -> list[int]:
        """Returns the attended positions; if they hold no known text, those left after stripping repeats at one end."""
        if tuple([tokens[place] for place in attended]) in self._labels:
            return attended
        for line, is_left in ((tokens, True), (tokens[::-1], False)):
            for at in range(len(list(next(itertools.groupby(line))[1])) + 1):
                span = range(at, len(tokens)) if is_left else range(len(tokens) - at)
                if tuple([tokens[place] for place in span]) in self._labels:
                    return list(span)
        return attended

    def after_head(self, logits: torch.Tensor) -> None:
        """Computes the loss of a batch from its logits: those of all positions, or of only the labelled ones."""
        targets, self._targets = self._targets, None
        if targets is None:
            self._is_known = False
            return
        labelled = targets != IGNORE_INDEX
        chosen = targets[labelled].to(logits.device)
        if not _match(labelled, logits):
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
        """Returns the fields of a `RecordedStep`, and begins the next step."""
        mean = (self._losses / self._tokens).tolist() if self._is_known and self._tokens else None
        found, expected = self._products.tolist()
        taken = {
            "rows": tuple(self._rows),
            "loss": StepLoss(*mean) if mean else None,
            "gradient_scale": found * self._tokens / expected if mean and expected else None,
        }
        self._reset()
        return taken


def labelled_losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor | None:
    """Computes each labelled token's cross-entropy, in nat, on the CPU; None if logits and labels do not match.

    Does not call torch's `cross_entropy`, which a training may have replaced by another loss.

    Args:
        logits: logits of all positions, or of only the labelled ones.
        batch: batch with labels.
    """
    targets = batch.labels[:, 1:]
    labelled = targets != IGNORE_INDEX
    if not _match(labelled, logits):
        return None
    likelihoods = _at(labelled, logits).cpu().log_softmax(-1)
    return -likelihoods.gather(-1, targets[labelled][:, None])[:, 0]


def _match(labelled: torch.Tensor, logits: torch.Tensor) -> bool:
    return logits.shape[:-1] in ((labelled.shape[0], labelled.shape[1] + 1), (1, int(labelled.sum())))


def _at(labelled: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Returns the logits that predict the labelled tokens, in fp32: (labelled tokens, vocabulary)."""
    if logits.shape[:2] == (labelled.shape[0], labelled.shape[1] + 1):
        logits = logits[:, :-1][labelled.to(logits.device)]
    return logits.reshape(-1, logits.shape[-1]).float()


def _rows_by_text(texts: Sequence[TrainingExample]) -> dict[tuple[int, ...], list[int]]:
    """Returns the rows of each text; several rows may share a text, and are used in turn."""
    rows = defaultdict(list)
    for row, text in enumerate(texts):
        rows[text.ids].append(row)
    return rows
