"""Handles rows of a training batch: cuts padding that has no effect, and divides packed rows into their examples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch

IGNORE_INDEX = -100
_KNOWN = {
    *("input_ids", "attention_mask", "labels", "position_ids", "return_dict", "num_items_in_batch", "use_cache"),
    *("output_attentions", "output_hidden_states"),
}
"""Arguments of a forward pass that can be cut, or that have no width. With any other argument nothing is cut."""
_WIDE = ("input_ids", "attention_mask", "labels", "position_ids")


def trim(
    given: Mapping[str, Any], labels: torch.Tensor | None, config: Any, *, takes_positions: bool = True
) -> tuple[Mapping[str, Any], int, int]:
    """Cuts columns that are masked and unlabelled in every row from the arguments of a forward pass.

    Positions are kept: after a cut on the left they are passed explicitly. The remaining output equals that of the full
    computation up to rounding.

    Args:
        given: arguments by name.
        labels: labels of the batch; None if unknown.
        config: configuration of the model.
        takes_positions: whether the model's forward takes `position_ids`; if not, nothing is cut on the left.

    Returns:
        The arguments, and the numbers of columns cut on the left and right. Unchanged if nothing can be cut.
    """
    left, right = _dead(given, labels, config)
    if not takes_positions:
        left = 0
    if not left and not right:
        return given, 0, 0
    width = given["input_ids"].shape[1]
    cut = dict(given)
    for name in _WIDE:
        value = given.get(name)
        if isinstance(value, torch.Tensor) and value.shape[-1:] == (width,):
            cut[name] = value[..., left : width - right]
    if left and given.get("position_ids") is None:
        cut["position_ids"] = torch.arange(left, width - right, device=given["input_ids"].device)[None]
    return cut, left, right


def widen(output: Any, left: int, right: int) -> Any:
    """Pads the output's logits with zeros for the columns that were cut."""
    logits = getattr(output, "logits", None)
    if (left or right) and isinstance(logits, torch.Tensor):
        output.logits = torch.nn.functional.pad(logits, (0, 0, left, right))
    return output


def _dead(given: Mapping[str, Any], labels: torch.Tensor | None, config: Any) -> tuple[int, int]:
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, torch.Tensor) or not isinstance(mask, torch.Tensor) or labels is None:
        return 0, 0
    if ids.dim() != 2 or not ids.shape == mask.shape == labels.shape:  # noqa: PLR2004
        return 0, 0
    if any(value is not None and name not in _KNOWN for name, value in given.items()):
        return 0, 0
    if given.get("return_dict") is False or any(
        given.get(name) or getattr(config, name, False) for name in ("output_attentions", "output_hidden_states")
    ):
        return 0, 0
    unpadded, labelled = mask.bool(), labels.to(mask.device) != IGNORE_INDEX
    alive = (unpadded | labelled).any(0).nonzero()[:, 0].tolist()
    if not alive:
        return 0, 0
    left, right = alive[0], ids.shape[1] - 1 - alive[-1]
    # a label after padding is predicted from the padding, whose output may depend on its width
    if left and bool((labelled[:, 1:] & unpadded[:, 1:] & ~unpadded[:, :-1]).any()):
        left = 0
    return left, right


class Division:
    """The division of the rows of one forward pass into examples.

    Attributes:
        parts: for each row, the first and last index + 1 of each of its examples, counting only unpadded tokens.
        positions: for each row, the positions of the unpadded tokens.
        crossing: whether attention reaches from one example to the next; only meaningful if a row has several examples.
    """

    def __init__(
        self, parts: list[list[tuple[int, int]]], positions: list[list[int]], *, crossing: bool = False
    ) -> None:
        self.parts, self.positions, self.crossing = parts, positions, crossing

    @property
    def is_packed(self) -> bool:
        """Whether a row has more than one example."""
        return any(len(row) > 1 for row in self.parts)


def divide(ids: torch.Tensor, unpadded: torch.Tensor, given: Mapping[str, Any]) -> Division:
    """Divides rows at restarting positions, blocks of the mask, or cumulative lengths.

    Args:
        ids: token ids of shape (rows, width).
        unpadded: mask of the tokens that are not padding, of the same shape.
        given: arguments of the forward pass by name.
    """
    mask = given.get("attention_mask")
    positions = given.get("position_ids")
    if isinstance(positions, torch.Tensor) and positions.shape[-1] == ids.shape[1]:
        positions = positions.detach().cpu().reshape(-1, ids.shape[1]).expand(len(ids), -1)
    else:
        positions = torch.arange(ids.shape[1]).expand(len(ids), -1)
    starts = torch.zeros(ids.shape, dtype=torch.bool)
    ahead = positions.diff(dim=1)
    starts[:, 1:] = (ahead <= 0) & (ahead == 1).any(1, keepdim=True)  # positions that never advance are a fault
    if isinstance(mask, torch.Tensor) and mask.dim() == 4:  # noqa: PLR2004
        starts |= _blocks(mask.detach().cpu(), len(ids))
    lengths = given.get("cu_seq_lens_q")
    if isinstance(lengths, torch.Tensor) and len(ids) == 1:
        starts[0, lengths.detach().cpu().long()[:-1]] = True
    parts, own = [], []
    for row, first, place in zip(unpadded, starts, positions, strict=False):
        begins = first[row].nonzero()[:, 0].tolist()
        edges = sorted({0, *begins, int(row.sum())})
        parts.append(list(itertools.pairwise(edges)))
        own.append(place[row].tolist())
    return Division(parts, own)


def _blocks(mask: torch.Tensor, rows: int) -> torch.Tensor:
    """Returns where blocks of a mask (rows, heads, width, width) begin: tokens that attend to no earlier token."""
    allowed = mask[:, 0] if mask.dtype == torch.bool else mask[:, 0] > -1
    first = allowed.int().argmax(-1)  # the first token that each one attends to
    own = torch.arange(allowed.shape[-1])
    return ((first == own) & allowed.any(-1)).expand(rows, -1)


class Reach:
    """Tests by trial whether attention reaches from one example of a row to the next; once for each kind of call.

    The result depends on the version of the library, the kind of attention, the mask and the cache.
    """

    def __init__(self) -> None:
        self._found: dict[Any, bool] = {}

    def crosses(
        self, forward: Callable[..., Any], given: Mapping[str, Any], unpadded: torch.Tensor, division: Division
    ) -> bool:
        """Returns whether changing the first token of a packed row changes the logits of its last token."""
        mask = given.get("attention_mask")
        kind = (
            None if mask is None else mask.dim(),
            *(given.get(name) is not None for name in ("position_ids", "cu_seq_lens_q")),
        )
        if kind not in self._found:
            row = next(i for i, parts in enumerate(division.parts) if len(parts) > 1)
            self._found[kind] = _try(forward, given, row, unpadded[row].nonzero()[:, 0].tolist())
        return self._found[kind]


def _try(forward: Callable[..., Any], given: Mapping[str, Any], row: int, columns: list[int]) -> bool:
    state, found = torch.get_rng_state(), []
    for change in (0, 1):
        ids = given["input_ids"].clone()
        if change:
            ids[row, columns[0]] = abs(int(ids[row, columns[0]]) - 1)  # any other token
        torch.set_rng_state(state)  # the same dropout
        with torch.no_grad():
            output = forward(**{**given, "input_ids": ids, "labels": None})
        found.append(output.logits[row, columns[-1]].float())
    torch.set_rng_state(state)
    return float((found[0] - found[1]).abs().max()) > 1e-6 * float(found[0].abs().max())


def without_padding(parts: list[tuple[int, int]], labels: list[int]) -> list[tuple[int, int]]:
    """Removes single unlabelled tokens at the end of a row's parts: padding that no mask marks."""
    parts = list(parts)
    while len(parts) > 1 and parts[-1][1] - parts[-1][0] == 1 and labels[parts[-1][0]] == IGNORE_INDEX:
        parts.pop()
    return parts
