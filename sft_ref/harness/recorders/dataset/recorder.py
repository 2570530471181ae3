"""Records one data set: each row as a trainer would format, tokenize, label and truncate it. Needs no weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.errors import DataError, SubmissionError
from sft_ref.harness.evidence.answers import TEMPLATE
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence, DatasetRow, Labels
from sft_ref.harness.recorders.folder.answers.choice import check_writing, choose_wording, read_template
from sft_ref.harness.recorders.folder.answers.wording import WordedText, Wording, earlier_turns
from sft_ref.harness.recorders.folder.chat_template import observe_template
from sft_ref.harness.recorders.folder.stops import stop_contract
from sft_ref.harness.recorders.folder.tokenizers import template_of
from sft_ref.io.foreign import foreign_files
from sft_ref.io.rows.forms import Row, rows_of, some
from sft_ref.io.rows.row_files import read_values
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.tokens import IGNORE_INDEX

from .encoding import EncodedText, can_tell_end, encode, find_end, find_parting, label, token_text
from .tokenized import is_tokenized, observe_tokenized

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_EXAMINED = 5000
"""Maximum number of rows that are tokenized; larger files are sampled across the whole file."""

_TEXTS = "texts as they are"
_BLOCK = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""Jinja tag that marks the assistant's part in a chat template, as in transformers."""


@dataclass(frozen=True)
class _Trainer:
    """Settings with which a trainer processes each row."""

    tokenizer: PreTrainedTokenizerBase
    template: str | None
    labels: Labels
    max_length: int | None


def record(
    path: Path,
    *,
    base: str,
    prompt: str | None = None,
    chat_template: str | None = None,
    labels: Labels = "completion",
    max_length: int | None = None,
) -> DatasetEvidence:
    """Records a data set.

    Args:
        path: data file, or folder saved by `datasets`.
        base: base model whose tokenizer, chat template and generation_config are used.
        prompt: format of the texts, with ``{question}`` and ``{answer}`` in it; None if not given.
        chat_template: "tokenizer", or the path of a template file; None if not given.
        labels: which tokens are supervised.
        max_length: number of tokens to which a text is truncated, counted from its start; None disables truncation.

    Raises:
        SubmissionError: prompt, template and labels are inconsistent.
        DataError: a row cannot be read, or does not fit the format.
        BaseModelError: the base model is not available, or has no tokenizer.
    """
    check_writing(prompt, chat_template)
    values = read_values(path)
    base_folder = find_base(base)
    tokenizer = load_tokenizer(base_folder)
    if any(map(is_tokenized, values)):
        if prompt is not None or chat_template is not None:
            raise SubmissionError(f"{path}: its rows are tokenized already; leave out --prompt and --chat-template")
        return _record_tokenized(path, values, base, tokenizer, max_length)
    every = rows_of(path, values, prompt=prompt)
    rows = some(every, MOST_EXAMINED)
    template = read_template(chat_template, template_of(base_folder, tokenizer))
    if any(row.whole for row in rows):
        wording = _as_texts(path, rows, tokenizer, labels)
    else:
        by_name = chat_template is not None
        wording = choose_wording(rows, tokenizer, prompt=prompt, template=template, by_name=by_name, data=path)
    is_templated = wording.name == TEMPLATE
    if labels == "assistant" and not is_templated:
        raise SubmissionError(
            "--labels assistant: needs a chat template, which marks the assistant's tokens; give --chat-template"
        )
    trainer = _Trainer(tokenizer, template if is_templated else None, labels, max_length)
    return DatasetEvidence(
        name=path.name,
        base=base,
        wording=wording.name,
        labels=labels,
        max_length=max_length,
        total=len(every),
        rows=tuple(_observe(path, row, text, trainer) for row, text in zip(rows, wording.texts, strict=True)),
        end_token=str(tokenizer.eos_token),
        padding=str(tokenizer.pad_token),
        marks_assistant=bool(template and _BLOCK.search(template)),
        ending=None if wording.name == _TEXTS else stop_contract(wording, tokenizer, base_folder),
        template=None if template is None or not is_templated else observe_template(template, tokenizer, rows),
    )


def _record_tokenized(
    path: Path, values: Sequence[object], base: str, tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> DatasetEvidence:
    """Records rows of ids and labels; all rows are examined, since nothing has to be tokenized."""
    found = [observe_tokenized(path, n, value, tokenizer, max_length) for n, value in enumerate(values, start=1)]
    return DatasetEvidence(
        name=path.name,
        base=base,
        wording="ids and labels as they are",
        labels="given",
        max_length=max_length,
        total=len(found),
        rows=tuple(found),
        end_token=str(tokenizer.eos_token),
        padding=str(tokenizer.pad_token),
        marks_assistant=False,
    )


def _as_texts(path: Path, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, labels: Labels) -> Wording:
    """Wraps rows that are plain texts, with the EOS token appended as TRL does."""
    if other := [row.number for row in rows if not row.whole]:
        raise DataError(f"{path}: row {other[0]} is not a text, although others are; give rows of one form")
    if labels not in ("all", "collator"):
        raise DataError(
            f"{path}: row {rows[0].number} is a text, which does not say where its answer begins; give --prompt, with"
            " {question} and {answer} in their places, or --labels all"
        )
    end = str(tokenizer.eos_token)
    ended = (row.whole if row.whole.endswith(end) else row.whole + end for row in rows)
    return Wording(_TEXTS, tuple(WordedText("", "", "", whole=text, answer_end=len(text) - len(end)) for text in ended))


def _observe(path: Path, row: Row, text: WordedText, trainer: _Trainer) -> DatasetRow:
    tokenizer = trainer.tokenizer
    with foreign_files(DataError, f"{path}: row {row.number} cannot be tokenized"):
        encoded = encode(text, tokenizer)
        labels = label(encoded, trainer.labels, tokenizer, template=trainer.template, row=row)
    end = find_end(text, encoded, tokenizer)
    kept = len(labels) if trainer.max_length is None else trainer.max_length
    earlier = _earlier_turns(row, trainer)
    return DatasetRow(
        number=row.number,
        tokens=len(encoded.ids),
        has_prompt=not row.whole,
        parting=find_parting(text, encoded, tokenizer),
        supervised=sum(each != IGNORE_INDEX for each in labels[:kept]),
        end=_name(end, encoded, tokenizer) if can_tell_end(text, encoded) else None,
        is_end_supervised=end is not None and labels[end] != IGNORE_INDEX,
        is_cut=kept < len(labels) and (end is None or end >= kept),
        is_empty=not (row.whole or row.answer).strip(),
        earlier_turns=len(earlier),
        differing_turns=sum(not all(map(text.whole.startswith, each)) for each in earlier),
    )


def _name(place: int | None, encoded: EncodedText, tokenizer: PreTrainedTokenizerBase) -> str:
    return "" if place is None else token_text(encoded.ids[place], tokenizer)


def _earlier_turns(row: Row, trainer: _Trainer) -> list[tuple[str, str]]:
    """Returns prompts and texts of supervised answers before the last one."""
    if trainer.template is None or trainer.labels == "completion":
        return []
    try:
        return [*earlier_turns(trainer.template, row, trainer.tokenizer)]
    except Exception:  # noqa: BLE001  # a template may refuse a conversation that ends early
        return []
