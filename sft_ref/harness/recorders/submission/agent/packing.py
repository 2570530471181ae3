"""Rows of a batch that hold several examples: where each begins, and whether attention reaches from one to the next."""

import itertools

import torch


class Division:
    """How the rows of one forward are divided.

    Attributes:
        parts: for each row, the first and last index + 1 of each of its examples, among the tokens that are kept.
        positions: for each row, the positions of the tokens that are kept.
        crossing: whether attention reaches from one example to the next; only of use where a row has several.
    """

    def __init__(self, parts, positions, *, crossing=False):
        self.parts, self.positions, self.crossing = parts, positions, crossing

    @property
    def is_packed(self):
        """Whether a row has more than one example."""
        return any(len(row) > 1 for row in self.parts)


def divide(ids, kept, given):
    """How the rows are divided: by positions that begin anew, a mask of blocks, or cumulated lengths.

    Args:
        ids: of shape (rows, width).
        kept: which tokens are no padding, of the same shape.
        given: the arguments of the forward by name.
    """
    mask = given.get("attention_mask")
    positions = given.get("position_ids")
    if isinstance(positions, torch.Tensor) and positions.shape[-1] == ids.shape[1]:
        positions = positions.detach().cpu().reshape(-1, ids.shape[1]).expand(len(ids), -1)
    else:
        positions = torch.arange(ids.shape[1]).expand(len(ids), -1)
    starts = torch.zeros(ids.shape, dtype=torch.bool)
    starts[:, 1:] = positions.diff(dim=1) != 1
    if isinstance(mask, torch.Tensor) and mask.dim() == 4:  # noqa: PLR2004
        starts |= _blocks(mask.detach().cpu(), len(ids))
    lengths = given.get("cu_seq_lens_q")
    if isinstance(lengths, torch.Tensor) and len(ids) == 1:
        starts[0, lengths.detach().cpu().long()[:-1]] = True
    parts, own = [], []
    for row, first, place in zip(kept, starts, positions):
        begins = first[row].nonzero()[:, 0].tolist()
        edges = sorted({0, *begins, int(row.sum())})
        parts.append(list(itertools.pairwise(edges)))
        own.append(place[row].tolist())
    return Division(parts, own)


def _blocks(mask, rows):
    """Where blocks of a mask (rows, heads, width, width) begin: tokens that attend to none before themselves."""
    allowed = mask[:, 0] if mask.dtype == torch.bool else mask[:, 0] > -1
    first = allowed.int().argmax(-1)  # the first that each token attends to
    own = torch.arange(allowed.shape[-1])
    return ((first == own) & allowed.any(-1)).expand(rows, -1)


class Reach:
    """Finds out by trying whether attention reaches from one example of a row to the next; once for each kind of call.

    It depends on the version of the library, the kind of attention, the mask and the cache.
    """

    def __init__(self):
        self._found = {}

    def crosses(self, forward, given, kept, division):
        """Whether a change of the first token of a packed row changes the logits of its last token."""
        mask = given.get("attention_mask")
        kind = (
            None if mask is None else mask.dim(),
            *(given.get(name) is not None for name in ("position_ids", "cu_seq_lens_q")),
        )
        if kind not in self._found:
            row = next(i for i, parts in enumerate(division.parts) if len(parts) > 1)
            self._found[kind] = _try(forward, given, row, kept[row].nonzero()[:, 0].tolist())
        return self._found[kind]


def _try(forward, given, row, columns):
    state, found = torch.get_rng_state(), []
    for change in (0, 1):
        ids = given["input_ids"].clone()
        if change:
            ids[row, columns[0]] = abs(int(ids[row, columns[0]]) - 1)  # another one
        torch.set_rng_state(state)  # the same dropout
        with torch.no_grad():
            output = forward(**{**given, "input_ids": ids, "labels": None})
        found.append(output.logits[row, columns[-1]].float())
    torch.set_rng_state(state)
    return float((found[0] - found[1]).abs().max()) > 1e-6 * float(found[0].abs().max())
