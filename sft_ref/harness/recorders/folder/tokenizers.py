"""The tokenizer that goes with an adapter: its own before the base's, since training may have added tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.errors import BaseModelError
from sft_ref.harness.evidence.adapter import TokenizerEvidence
from sft_ref.io.foreign import is_failure
from sft_ref.reference.models import load_tokenizer

from .files import is_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST_TEMPLATE = 1_000_000
"""Bytes; the longest real ones have some thousands."""

_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
"""Files of which a folder with a tokenizer has one."""


def find_tokenizer(folder: Path, base: Path, rows: int) -> tuple[PreTrainedTokenizerBase | None, TokenizerEvidence]:
    """The adapter's tokenizer, or else its base's; None where neither can be used.

    Args:
        folder: of the adapter.
        base: folder of the base.
        rows: of the embedding.
    """
    own, problem = _load_own(folder)
    try:
        of_base = load_tokenizer(base)
    except BaseModelError:
        of_base = None
    tokenizer = of_base if own is None else own
    return tokenizer, TokenizerEvidence(
        is_own=own is not None,
        problem=problem,
        without_row=() if own is None else _without_row(own, of_base, rows),
        chat_template=None if tokenizer is None else _template(folder, tokenizer, of_base),
    )


def _load_own(folder: Path) -> tuple[PreTrainedTokenizerBase | None, str]:
    """The tokenizer in the adapter's folder, and why it cannot be loaded."""
    if not any(is_file(folder / name) for name in _FILES):
        return None, ""
    try:
        return load_tokenizer(folder), ""
    except BaseException as error:  # a foreign file may break any library
        if not is_failure(error):
            raise
        return None, " ".join(str(error).split())[:200]


def _template(folder: Path, *tokenizers: PreTrainedTokenizerBase | None) -> str | None:
    """The chat template in the adapter's folder, or else that of the first tokenizer that has one."""
    path = folder / "chat_template.jinja"
    if is_file(path) and path.stat().st_size < _LONGEST_TEMPLATE:
        return path.read_text(encoding="utf-8", errors="replace")
    templates = (None if each is None else each.chat_template for each in tokenizers)
    return next((each for each in templates if isinstance(each, str)), None)


def _without_row(
    tokenizer: PreTrainedTokenizerBase, of_base: PreTrainedTokenizerBase | None, rows: int
) -> tuple[str, ...]:
    """Tokens beyond the embedding, in their order, without padding and those that the base itself has."""
    known = {} if of_base is None else of_base.get_vocab()
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    return tuple(token for number, token in beyond if number != tokenizer.pad_token_id and token not in known)
