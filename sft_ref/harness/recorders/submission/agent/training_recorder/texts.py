"""Records the texts that reach the model in training, with their labels, wherever these are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from ..batches import IGNORE_INDEX, Division, Reach, divide, without_padding

Example = tuple[tuple[int, ...], tuple[int, ...]]
_Pending = tuple[torch.Tensor, torch.Tensor, Division, int]
"""Ids of a batch without labels, where they are not padding, the division of its rows, and the pass's number."""


class TextRecorder:
    """Records texts and labels.

    Attributes:
        examples: every text that reached the model with its labels, each once, without padding: (ids, labels).
        unlabelled: token ids of every text that reached the model without labels, each once.
        forward_passes: for each pass, the indices of its examples, and its loss (None if the model was not asked for
            one). A packed row whose examples attend to one another has `examples` and `position_ids` for an index.
        labelled_padding: number of padding tokens with a label.
    """

    def __init__(self) -> None:
        self.examples: list[Example] = []
        self.unlabelled: dict[tuple[int, ...], None] = {}
        self.forward_passes: list[tuple[list[Any], float | None]] = []
        self.labelled_padding = 0
        self._indices: dict[Example, int] = {}
        self._step_labels: torch.Tensor | None = None
        self._loader_batch: dict[str, Any] | None = None
        self._pending: _Pending | None = None
        self._reach = Reach()

    # Called by the patches of libraries.

    def run_training_step(
        self, original: Any, trainer: Any, /, model: Any, inputs: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Wraps `Trainer.training_step`."""
        labels = inputs.get("labels") if hasattr(inputs, "get") else None
        self._step_labels = labels.detach().cpu() if isinstance(labels, torch.Tensor) else None
        try:
            return original(trainer, model, inputs, *args, **kwargs)
        finally:
            self._step_labels = None

    def iterate_loader(self, original: Any, loader: Any, /) -> Iterator[Any]:
        """Wraps `DataLoader.__iter__`."""
        for batch in original(loader):
            self._loader_batch = dict(batch) if hasattr(batch, "keys") else None
            yield batch

    def cross_entropy(self, original: Any, /, input: Any, target: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Wraps `torch.nn.functional.cross_entropy`.

        Losses by token may be weighed afterwards: their gradients are the weights.
        """
        loss = original(input, target, *args, **kwargs)
        if self._pending is None or target.dtype != torch.long:
            return loss
        pending, self._pending = self._pending, None
        if loss.numel() == target.numel() and loss.requires_grad:
            loss.register_hook(lambda weights: self._record_target(pending, target, weights != 0))
        else:
            self._record_target(pending, target, torch.ones_like(target))
        return loss

    # Called by the patch of the model's forward.

    def find_labels(self, ids: torch.Tensor, given: Mapping[str, Any]) -> torch.Tensor | None:
        """Returns the labels of a batch: those passed to the model, or given by Trainer or a DataLoader; else None."""
        labels: torch.Tensor | None = given.get("labels")
        if labels is None and self._step_labels is not None and self._step_labels.shape == ids.shape:
            labels = self._step_labels
        return self._labels_of_loader(ids) if labels is None else labels

    def record(self, forward: Callable[..., Any], given: Mapping[str, Any], labels: torch.Tensor | None) -> None:
        """Records the batch of a forward pass in training; without labels, the loss function may reveal them later."""
        self._pending = None
        ids, mask = given["input_ids"].detach().cpu(), given.get("attention_mask")
        flat = mask is not None and mask.dim() == ids.dim()
        unpadded = mask.detach().cpu().bool() if mask is not None and flat else torch.ones_like(ids, dtype=torch.bool)
        division = divide(ids, unpadded, given)
        if division.is_packed:
            division.crossing = self._reach.crosses(forward, given, unpadded, division)
        if labels is None:  # the loss function may reveal them
            self._pending = (ids, unpadded, division, len(self.forward_passes))
            self.unlabelled.update({tuple(row[own].tolist()): None for row, own in zip(ids, unpadded, strict=True)})
            self.forward_passes.append(([], None))
            return
        self.forward_passes.append((self._record_batch(ids, unpadded, labels.detach().cpu(), division), None))

    def after_forward(self, loss: torch.Tensor | None) -> None:
        """Records the loss of the forward pass."""
        if loss is not None:
            self.forward_passes[-1] = (self.forward_passes[-1][0], float(loss.detach()))

    # Batches.

    def _labels_of_loader(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Returns the labels of the last DataLoader batch, if the texts are those of that batch."""
        batch = self._loader_batch or {}
        own, labels = batch.get("input_ids"), batch.get("labels")
        if not isinstance(own, torch.Tensor) or not isinstance(labels, torch.Tensor):
            return None
        return labels if own.shape == labels.shape == ids.shape and torch.equal(own.cpu(), ids.cpu()) else None

    def _record_target(self, pending: _Pending, target: torch.Tensor, weighed: torch.Tensor) -> None:
        """Records labels that only the loss function receives; `weighed` is where the loss of a token counts."""
        ids, unpadded, division, number = pending
        count, length = ids.shape
        if target.numel() not in (count * (length - 1), count * length):
            return
        weighed = weighed.detach().cpu().reshape(count, -1).int()
        inside = (weighed.cumsum(1) > 0) & (weighed.flip(1).cumsum(1).flip(1) > 0)
        target = target.detach().cpu().reshape(count, -1).masked_fill(~inside, IGNORE_INDEX)
        labelled = unpadded[:, 1:] & (target[:, : length - 1] != IGNORE_INDEX)
        if target.shape[1] < length or torch.equal(target[:, :-1][labelled], ids[:, 1:][labelled]):
            target = torch.cat([torch.full((count, 1), IGNORE_INDEX), target[:, : length - 1]], dim=1)  # was shifted
        self.forward_passes[number] = (self._record_batch(ids, unpadded, target, division), None)

    def _record_batch(
        self, ids: torch.Tensor, unpadded: torch.Tensor, labels: torch.Tensor, division: Division
    ) -> list[Any]:
        """Records the texts of a batch, and returns their indices.

        A packed row is recorded as its examples, which are grouped if attention crosses them.
        """
        rows: list[Any] = []
        for row, own, row_labels, all_parts, positions in zip(
            ids, unpadded, labels, division.parts, division.positions, strict=False
        ):
            self.labelled_padding += int(((row_labels != IGNORE_INDEX) & ~own).sum())
            text, target = row[own].tolist(), row_labels[own].tolist()
            parts = without_padding(all_parts, target)
            indices = [self._index(text[begin:end], target[begin:end]) for begin, end in parts]
            if len(parts) == 1 or not division.crossing:
                rows += indices
            else:
                rows.append({"examples": indices, "position_ids": positions[: parts[-1][1]]})
        return rows

    def _index(self, ids: list[int], labels: list[int]) -> int:
        """Returns a text's index in `examples`, after adding it if it is new."""
        example = (tuple(ids), tuple(labels))
        if example not in self._indices:
            self._indices[example] = len(self.examples)
            self.examples.append(example)
        return self._indices[example]
