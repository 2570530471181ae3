"""The tokenizer that goes with an adapter: its own before the base's, since training may have added tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import BaseModelError, SubmissionError
from sft_ref.harness.evidence.adapter import TokenizerEvidence
from sft_ref.io.base_config import TOKENIZER_CONFIG
from sft_ref.io.foreign import is_failure
from sft_ref.io.lora_config import base_of, read_table
from sft_ref.io.reading import UnreadableError, kind_of, shortened
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.models import load_tokenizer

from .files import is_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST_TEMPLATE = 1_000_000
"""Bytes; the longest real ones have some thousands."""

_FILES = ("tokenizer.json", TOKENIZER_CONFIG, "tokenizer.model", "vocab.json")
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
        chat_template=None if tokenizer is None else template_of(folder, tokenizer, of_base),
    )


@dataclass(frozen=True)
class FoundTokenizer:
    """A tokenizer, without its model.

    Attributes:
        tokenizer: the adapter's own, or else its base's.
        source: whose it is, in words.
        template: the adapter's chat template, or else its base's; None where there is none.
    """

    tokenizer: PreTrainedTokenizerBase
    source: str
    template: str | None


def load_tokenizer_of(folder: Path, base: str | None) -> FoundTokenizer:
    """The tokenizer that goes with an adapter, from tokenizer files alone.

    Args:
        folder: of the adapter.
        base: of the adapter; None takes the one that its configuration names.

    Raises:
        SubmissionError: there is no such folder, or nothing says where a tokenizer is.
        BaseModelError: the base has none, or the one in the folder cannot be loaded.
    """
    if kind_of(folder) != "folder":
        raise SubmissionError(f"{shortened(folder)}: is no folder; give the folder of an adapter")
    own = load_tokenizer(folder) if _has_files(folder) else None
    named, of_base = base or _named_base(folder), None
    if own is None and named is None:
        raise SubmissionError(f"{folder}: holds no tokenizer, and names no base; give --base")
    if named is not None:
        try:
            of_base = load_tokenizer(find_base(named, fetch=base is not None))
        except BaseModelError:
            if own is None or base is not None:
                raise
    source = folder.name if own is not None else f"the base, {named}"
    tokenizer: Any = own if own is not None else of_base
    return FoundTokenizer(tokenizer, source, template_of(folder, own, of_base))


def _named_base(folder: Path) -> str | None:
    try:
        return base_of(read_table(folder))
    except UnreadableError:
        return None


def _has_files(folder: Path) -> bool:
    return any(is_file(folder / name) for name in _FILES)


def _load_own(folder: Path) -> tuple[PreTrainedTokenizerBase | None, str]:
    """The tokenizer in the adapter's folder, and why it cannot be loaded."""
    if not _has_files(folder):
        return None, ""
    try:
        return load_tokenizer(folder), ""
    except BaseException as error:  # a foreign file may break any library
        if not is_failure(error):
            raise
        return None, " ".join(str(error).split())[:200]


def template_of(folder: Path, *tokenizers: PreTrainedTokenizerBase | None) -> str | None:
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
