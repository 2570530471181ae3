"""Logits of texts by a model as it is, which tell one model from another."""

import torch

_MOST, _LARGEST = 32, 256 * 2**20
"""Texts, and bytes of their logits."""


def choose_rows(rows, vocabulary):
    """The first rows of ids whose logits are of a size to be written down; at least one."""
    chosen, tokens = [], 0
    for row in rows[:_MOST]:
        tokens += len(row)
        if chosen and 4 * tokens * vocabulary > _LARGEST:
            break
        chosen.append(row)
    return chosen


def compute_logits(model, rows, times=1):
    """Logits of rows of ids, padded on the right: a tensor (tokens, vocabulary) for each of so many forwards."""
    longest = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    found = []
    with torch.no_grad():
        for _ in range(times):
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
            found.append(logits[mask.bool()])
    return found
