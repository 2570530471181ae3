"""Encodes and decodes texts that contain their special tokens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNKNOWN = "\ufffd"
"""Replaces a token that was added to the tokenizer for training; without it, the texts around it would be joined."""


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Encodes a text that already contains its special tokens."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Decodes token ids, keeping special tokens and spaces; an unknown id becomes one character."""
    size = len(tokenizer)
    if not all(0 <= token < size for token in ids):
        runs = itertools.groupby(ids, key=lambda token: 0 <= token < size)
        return "".join(decode(tokenizer, list(run)) if known else _UNKNOWN * len(list(run)) for known, run in runs)
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
