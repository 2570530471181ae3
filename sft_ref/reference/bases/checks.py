"""Refuses a base whose weights are incomplete, or whose tokenizer does not belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import BaseModelError
from sft_ref.io.foreign import foreign_files
from sft_ref.io.tensor_headers import READABLE, TensorHeader

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SHOWN = 3
"""Missing weights that a message names."""


def check_weights(
    model: PreTrainedModel, missing: Iterable[str], headers: Mapping[str, TensorHeader], folder: Path
) -> None:
    """Refuses a loaded base that lacks weights, or has some of a dtype that no weight has.

    Args:
        model: as loaded.
        missing: names of parameters that transformers found no weights for.
        headers: of the tensors in the folder, by name.
        folder: where it was loaded from.

    Raises:
        BaseModelError: it is.
    """
    if names := sorted(missing):
        raise BaseModelError(
            f"base {folder}: lacks {', '.join(names[:_SHOWN])} ({len(names)} in all), which would be random;"
            " copy the folder anew"
        )
    if getattr(model.config, "quantization_config", None) is not None:
        return
    for name, _ in model.named_parameters():
        stored = headers.get(name)
        if stored and stored.dtype not in READABLE:
            raise BaseModelError(f"base {folder}: {name} is stored as {stored.dtype}, which no weight is; copy it anew")


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, folder: Path) -> None:
    """Refuses a tokenizer that splits no question, or that gives tokens which the model does not know.

    Raises:
        BaseModelError: it fails, or one of its tokens is beyond the model's vocabulary.
    """
    with foreign_files(BaseModelError, f"base {folder}: its tokenizer cannot split a question"):
        tokenizer("How many g are in 1 kg?")
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    token, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= rows:
        raise BaseModelError(
            f"base {folder}: its tokenizer has a token {token[:80]!r} of number {number}, and its vocabulary ends at"
            f" {rows - 1}; give the tokenizer that belongs to the weights"
        )
