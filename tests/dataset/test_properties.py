"""What holds of prompt, labels and truncation for any text."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft_ref.harness.evidence.dataset.rows import Labels
from sft_ref.harness.recorders.dataset.encoding import decode, encode, find_end, find_parting, label
from sft_ref.harness.recorders.dataset.recorder import record
from sft_ref.harness.recorders.folder.answers.wording import WordedText, as_given, by_template
from sft_ref.io.rows.forms import Row, read_all_rows, read_row
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.tokens import IGNORE_INDEX

from .conftest import CHATML

TOKENIZER = load_tokenizer(TOY)
PROMPT = "Q: {question}\nA:{answer} (end)"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: bool(text.strip()))
CLEAN = TEXTS.filter(lambda text: "<|" not in text)
END = TOKENIZER.eos_token_id


def conversations(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Row]:
    """Rows of one to three questions, with or without a system prompt."""

    def make(turns: list[str], answer: str, system: str | None) -> Row:
        roles = [("user", "assistant")[n % 2] for n in range(len(turns))]
        messages = [*([("system", system)] if system else []), *zip(roles, turns, strict=True)]
        return Row(tuple(messages), answer, None)

    odd = st.lists(texts, min_size=1, max_size=5).map(lambda turns: turns[: len(turns) - 1 + len(turns) % 2])
    return st.builds(make, odd, texts, st.none() | texts)


def written(row: Row, *, by: str) -> WordedText:
    """A row as one of the ways to write texts has it."""
    wording = by_template(CHATML, [row], TOKENIZER) if by == "template" else as_given(PROMPT, [row], TOKENIZER)
    return wording.texts[0]


@pytest.mark.parametrize("by", ["template", "prompt"])
@given(row=conversations(TEXTS))
def test_they_part_exactly_where_a_token_differs(by: str, row: Row) -> None:
    text = written(row, by=by)
    encoded = encode(text, TOKENIZER)
    parting = find_parting(text, encoded, TOKENIZER)
    length = len(encoded.prompt)
    assert (parting is None) == (encoded.ids[:length] == encoded.prompt)
    if parting is not None:
        index = parting.index
        assert encoded.ids[:index] == encoded.prompt[:index]
        assert encoded.ids[index : index + 1] != encoded.prompt[index : index + 1]
        assert text.whole.startswith(text.prompt)
        assert parting.pattern == "joined"


@given(row=conversations(CLEAN))
def test_behind_a_prefix_the_answer_its_end_and_nothing_else_are_supervised(row: Row) -> None:
    text = written(row, by="template")
    encoded = encode(text, TOKENIZER)
    labels = label(encoded, "completion", TOKENIZER, template=CHATML, row=row)
    length = len(encoded.prompt)
    assert len(labels) == len(encoded.ids)
    assert set(labels[:length]) <= {IGNORE_INDEX}
    assert labels[length:] == encoded.ids[length:]
    end = find_end(text, encoded, TOKENIZER)
    assert end is not None
    assert encoded.ids[end] == END
    if find_parting(text, encoded, TOKENIZER) is None:
        assert TOKENIZER.decode([*encoded.ids[length:end]]) == row.answer


@given(row=conversations(TEXTS))
def test_tokens_put_together_are_the_text(row: Row) -> None:
    text = written(row, by="template")
    assert decode(encode(text, TOKENIZER).ids, TOKENIZER) == text.whole or "\ufffd" in text.whole


@given(row=conversations(CLEAN), how=st.sampled_from(["all", "collator"]))
def test_labels_are_tokens_or_ignored_and_only_padding_is_ignored(row: Row, how: Labels) -> None:
    encoded = encode(written(row, by="template"), TOKENIZER)
    labels = label(encoded, how, TOKENIZER, template=CHATML, row=row)
    masked = {each for each, given in zip(encoded.ids, labels, strict=True) if given == IGNORE_INDEX}
    assert all(given in (each, IGNORE_INDEX) for each, given in zip(encoded.ids, labels, strict=True))
    assert masked == ({TOKENIZER.pad_token_id} if how == "collator" else set())


@given(answers=st.lists(CLEAN, min_size=1, max_size=3), max_length=st.integers(1, 60))
def test_an_answer_is_cut_exactly_where_its_end_does_not_fit(answers: list[str], max_length: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.json"
        path.write_text(json.dumps([["Who?", answer] for answer in answers]))
        cut, whole = (
            record(path, base="toy", chat_template="tokenizer", max_length=each).rows for each in (max_length, None)
        )
    for row, uncut in zip(cut, whole, strict=True):
        assert row.is_cut == (row.tokens - 1 > max_length)  # a line end stands behind the end
        assert row.supervised == max(0, uncut.supervised - max(0, row.tokens - max_length))
        assert not uncut.is_cut


@given(question=TEXTS.filter(lambda text: "\nA:" not in text), answer=TEXTS)
def test_a_text_is_split_where_the_prompt_says(question: str, answer: str) -> None:
    text = f"Q: {question}\nA:{answer} (end)"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.jsonl"
        path.write_text(json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8")
        (row,) = read_all_rows(path, prompt=PROMPT)
    assert (row.question, row.answer) == (question, answer)
    assert as_given(PROMPT, [row], TOKENIZER).texts[0].whole == text + str(TOKENIZER.eos_token)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4), data=st.data())
def test_a_row_has_its_number(texts: list[str], data: Any) -> None:
    number = data.draw(st.integers(1, len(texts)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.jsonl"
        path.write_text("\n".join(json.dumps([text, "a"], ensure_ascii=False) for text in texts), encoding="utf-8")
        row, total = read_row(path, number)
        assert [each.number for each in read_all_rows(path)] == [*range(1, len(texts) + 1)]
    assert (row.question, row.number, total) == (texts[number - 1], number, len(texts))
