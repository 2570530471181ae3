"""The tokenizer that goes with an adapter: its own before the base's, for training may have added to it."""

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
    problem = ""
    if any(is_file(folder / name) for name in _FILES):
        try:
            own = load_tokenizer(folder)
        except BaseException as error:  # a foreign file may break any library
            if not is_failure(error):
                raise
            problem = " ".join(str(error).split())[:200]
        else:
            template = _template(folder, own, base)
            return own, TokenizerEvidence(
                is_own=True, without_row=_without_row(own, base, rows), chat_template=template
            )
    try:
        tokenizer = load_tokenizer(base)
    except BaseModelError:
        return None, TokenizerEvidence(is_own=False, problem=problem)
    return tokenizer, TokenizerEvidence(is_own=False, problem=problem, chat_template=_template(folder, tokenizer, base))


def _template(folder: Path, tokenizer: PreTrainedTokenizerBase, base: Path) -> str | None:
    """The chat template in the adapter's folder, or else of its tokenizer, or else of the base."""
    path = folder / "chat_template.jinja"
    if is_file(path) and path.stat().st_size < _LONGEST_TEMPLATE:
        return path.read_text(encoding="utf-8", errors="replace")
    if isinstance(tokenizer.chat_template, str):
        return tokenizer.chat_template
    try:
        template = load_tokenizer(base).chat_template
    except BaseModelError:
        return None
    return template if isinstance(template, str) else None


def _without_row(tokenizer: PreTrainedTokenizerBase, base: Path, rows: int) -> tuple[str, ...]:
    """Tokens beyond the embedding that are not the base's own fault, in their order."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    found = [token for number, token in beyond if number != tokenizer.pad_token_id]
    if not found:
        return ()
    try:
        known = load_tokenizer(base).get_vocab()
    except BaseModelError:
        known = {}
    return tuple(token for token in found if token not in known)
