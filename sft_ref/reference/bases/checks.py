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
"""Most missing weights that an error message names."""


def check_weights(
    model: PreTrainedModel, missing: Iterable[str], headers: Mapping[str, TensorHeader], folder: Path
) -> None:
    """Refuses a loaded base that lacks weights, or whose files store a weight in a dtype that is invalid for weights.

    Args:
        model: the loaded model.
        missing: names of parameters for which transformers found no weights.
        headers: headers of the tensors in the folder, by name.
        folder: folder from which the model was loaded.

    Raises:
        BaseModelError: weights are missing, or have an invalid dtype.
    """
    if names := sorted(missing):
        raise BaseModelError(
            f"base {folder}: lacks {', '.join(names[:_SHOWN])} ({len(names)} in all), which would be random;"
            " copy the folder again"
        )
    if getattr(model.config, "quantization_config", None) is not None:
        return
    for name, _ in model.named_parameters():
        stored = headers.get(name)
        if stored and stored.dtype not in READABLE:
            raise BaseModelError(f"base {folder}: {name} has an invalid dtype, {stored.dtype}; copy the folder again")


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, folder: Path) -> None:
    """Refuses a tokenizer that fails on a question, or that has tokens unknown to the model.

    Raises:
        BaseModelError: the tokenizer fails, or one of its token ids is beyond the model's embedding.
    """
    with foreign_files(BaseModelError, f"base {folder}: its tokenizer cannot split a question"):
        tokenizer("How many g are in 1 kg?")
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    token, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= rows:
        raise BaseModelError(
            f"base {folder}: its tokenizer has a token {token[:80]!r} with id {number}, and its weights end at id"
            f" {rows - 1}; give the tokenizer that belongs to the weights"
        )
