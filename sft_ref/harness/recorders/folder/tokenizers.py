"""Finds an adapter's tokenizer: its own takes precedence over the base's, since training may have added tokens."""

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
"""Bytes; the longest real templates have some thousands."""

_FILES = ("tokenizer.json", TOKENIZER_CONFIG, "tokenizer.model", "vocab.json")
"""A folder with a tokenizer has at least one of these files."""


def find_tokenizer(folder: Path, base: Path, rows: int) -> tuple[PreTrainedTokenizerBase | None, TokenizerEvidence]:
    """Loads the adapter's tokenizer, or else the base model's; None if neither can be used.

    Args:
        folder: folder of the adapter.
        base: folder of the base model.
        rows: number of rows of the embedding.
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
    """A tokenizer without its model.

    Attributes:
        tokenizer: the adapter's own tokenizer, or else the base model's.
        source: origin of the tokenizer, in words.
        template: the adapter's chat template, or else the base model's; None if there is none.
    """

    tokenizer: PreTrainedTokenizerBase
    source: str
    template: str | None


def load_tokenizer_of(folder: Path, base: str | None) -> FoundTokenizer:
    """Loads an adapter's tokenizer from tokenizer files alone.

    Args:
        folder: folder of the adapter.
        base: name or folder of the base model; None takes the one named in the adapter's configuration.

    Raises:
        SubmissionError: the folder does not exist, or neither it nor `base` leads to a tokenizer.
        BaseModelError: the base model has no tokenizer, or the one in the folder cannot be loaded.
    """
    if kind_of(folder) != "folder":
        raise SubmissionError(f"{shortened(folder)}: is not a folder; give the folder of an adapter")
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
    """Loads the tokenizer in the adapter's folder; returns None and the reason if it cannot be loaded."""
    if not _has_files(folder):
        return None, ""
    try:
        return load_tokenizer(folder), ""
    except BaseException as error:  # a foreign file may break any library
        if not is_failure(error):
            raise
        return None, " ".join(str(error).split())[:200]


def template_of(folder: Path, *tokenizers: PreTrainedTokenizerBase | None) -> str | None:
    """Returns the chat template in the adapter's folder, or else that of the first tokenizer that has one."""
    path = folder / "chat_template.jinja"
    if is_file(path) and path.stat().st_size < _LONGEST_TEMPLATE:
        return path.read_text(encoding="utf-8", errors="replace")
    templates = (None if each is None else each.chat_template for each in tokenizers)
    return next((each for each in templates if isinstance(each, str)), None)


def _without_row(
    tokenizer: PreTrainedTokenizerBase, of_base: PreTrainedTokenizerBase | None, rows: int
) -> tuple[str, ...]:
    """Returns tokens beyond the embedding, in order, without padding and tokens that the base model itself has."""
    known = {} if of_base is None else of_base.get_vocab()
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    return tuple(token for number, token in beyond if number != tokenizer.pad_token_id and token not in known)
