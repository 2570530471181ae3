"""Compares tokenizer and chat template with the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sft_ref.witnessing.record.fingerprints import SAMPLES, fingerprint_template, fingerprint_tokenizer
from sft_ref.witnessing.record.schema import TrainingRecord

from .result import RecordDifference

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REMEDY = "serve with the tokenizer of training; save it beside the adapter"


def compare_tokenizer(record: TrainingRecord, tokenizer: PreTrainedTokenizerBase) -> Iterator[RecordDifference]:
    """Reports differences of the tokenizer; none if the record has no tokenizer."""
    trained = record.tokenizer
    if trained is None:
        return
    found = fingerprint_tokenizer(tokenizer)
    if found.size != trained.size:
        yield RecordDifference(
            "tokenizer",
            f"it has {found.size} tokens, and had {trained.size} in training",
            _REMEDY,
            found.size - trained.size,
        )
    elif found.vocabulary != trained.vocabulary:
        yield RecordDifference("tokenizer", f"some of its {found.size} tokens have other ids than in training", _REMEDY)
    for name, now in found.special.items():
        due = trained.special.get(name)
        if now != due and not (
            name == "pad_token_id" and due is None
        ):  # rows were not padded, or with an id of the collator
            yield RecordDifference("tokenizer", f"{name} is {now}, and was {due} in training", _REMEDY)
    pairs = list(zip(SAMPLES, trained.samples, found.samples, strict=False))
    wrong = [text for text, due, now in pairs if due != now]
    if wrong and found.vocabulary == trained.vocabulary:
        yield RecordDifference(
            "tokenizer",
            f"it splits {len(wrong)} of {len(pairs)} texts differently than in training, {wrong[0]!r} first",
            _REMEDY,
            len(wrong) / len(pairs),
        )


def compare_template(
    record: TrainingRecord, template: str | None, tokenizer: PreTrainedTokenizerBase
) -> Iterator[RecordDifference]:
    """Reports differences of the chat template; templates that render the same conversations are equal."""
    trained = record.template
    if record.tokenizer is None:
        return
    found = fingerprint_template(template, tokenizer)
    if found == trained:
        return
    if found is not None and trained is not None:
        if found.text == trained.text or (found.rendered is not None and found.rendered == trained.rendered):
            return
        what = "it writes conversations differently than in training"
    else:
        what = (
            "there is none, but there was one in training"
            if found is None
            else "there is one, but there was none in training"
        )
    yield RecordDifference("template", what, "serve with the chat template of training")
