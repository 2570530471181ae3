"""Rows that are already tokenized: ids with the labels that a trainer receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import DataError
from sft_ref.harness.evidence.dataset.rows import DatasetRow
from sft_ref.reference.tokens import IGNORE_INDEX

from .encoding import special_ids, token_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORM = 'each row is {"input_ids": [...], "labels": [...]}, with a label for each id: the id itself, or -100'


def is_tokenized(value: object) -> bool:
    """Returns whether a row holds token ids."""
    return isinstance(value, Mapping) and value.get("input_ids") is not None


def observe_tokenized(
    path: Path, number: int, value: object, tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> DatasetRow:
    """Records one row: how many labels it has, and whether the token that ends its answer has one.

    The end token is the last token with a label if that is special, else the token after it if that is special.

    Raises:
        DataError: the row does not hold valid ids of this tokenizer with matching labels.
    """
    if problem := _problem(value, len(tokenizer)):
        raise DataError(f"{path}: row {number} {problem}; {FORM}")
    row: Any = value
    ids, labels = row["input_ids"], row["labels"]
    last = max((n for n, each in enumerate(labels) if each != IGNORE_INDEX), default=None)
    end = None if last is None else next((n for n in (last, last + 1) if n in _specials(ids, tokenizer)), None)
    kept = len(ids) if max_length is None else max_length
    return DatasetRow(
        number=number,
        tokens=len(ids),
        has_prompt=False,
        supervised=sum(each != IGNORE_INDEX for each in labels[:kept]),
        end="" if end is None else token_text(ids[end], tokenizer),
        is_end_supervised=end is not None and end == last,
        is_cut=last is not None and last >= kept,
    )


def _specials(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> set[int]:
    special = special_ids(tokenizer)
    return {n for n, each in enumerate(ids) if each in special}


def _problem(value: object, size: int) -> str:
    if not is_tokenized(value):
        return "has no input_ids, although others have"
    row: Any = value
    ids, labels = row["input_ids"], row.get("labels")
    for name, given in (("input_ids", ids), ("labels", labels)):
        if not isinstance(given, list) or not all(type(each) is int for each in given):
            return f"has {name} that are not a list of whole numbers"
    if not ids or len(ids) != len(labels):
        return f"has {len(ids)} input_ids and {len(labels)} labels"
    if unknown := [each for each in ids if not 0 <= each < size]:
        return f"has the id {unknown[0]}, and the tokenizer has {size} tokens"
    pairs = enumerate(zip(ids, labels, strict=True))
    if wrong := [(n, each, label) for n, (each, label) in pairs if label not in (IGNORE_INDEX, each)]:
        place, each, label = wrong[0]
        return f"has label {label} on token {each}, index {place}: the model shifts labels itself"
    return ""
