"""Tokens are shown as they stand in a text, whatever the tokenizer."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sft_ref.harness.recorders.dataset.encoding import decode, encode, find_end, token_text
from sft_ref.harness.recorders.folder.answers.wording import as_given, by_template
from sft_ref.io.rows.forms import Row
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_tokenizer

from .conftest import CHATML


def test_the_space_of_a_sentencepiece_token_is_kept() -> None:
    """`decode` of one token drops it."""
    made = Tokenizer(models.WordLevel({"\u2581Me.": 0, "\u2581Who?": 1, "<unk>": 2}, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")
    assert tokenizer.decode([1]) == "Who?"
    assert token_text(1, tokenizer) == " Who?"
    assert decode([0, 1], tokenizer) == " Me. Who?"


def test_a_character_of_several_tokens_is_shown_whole_and_each_of_its_tokens_by_name() -> None:
    tokenizer = load_tokenizer(TOY)
    ids = tokenizer("a\u202eb")["input_ids"]
    assert len(ids) == 5
    assert decode(ids, tokenizer) == "a\u202eb"
    assert "\ufffd" not in "".join(token_text(each, tokenizer) for each in ids)
    assert decode(ids[:2], tokenizer) == "a" + token_text(ids[1], tokenizer)


@pytest.mark.parametrize("answer", [" 5", "5 ", "5\n", "<|im_start|>"])
def test_the_end_is_the_special_token_behind_the_answer_also_where_a_template_trims_it(answer: str) -> None:
    tokenizer = load_tokenizer(TOY)
    row = Row((("user", "How many?"),), answer, None)
    trims = CHATML.replace("{{ m.content }}", "{{ m.content | trim }}")
    for text in (
        by_template(CHATML, [row], tokenizer).texts[0],
        by_template(trims, [row], tokenizer).texts[0],
        as_given("{question}\n{answer}", [row], tokenizer).texts[0],
    ):
        encoded = encode(text, tokenizer)
        end = find_end(text, encoded, tokenizer)
        assert end is not None
        assert decode(encoded.ids[end:], tokenizer).strip() == "<|im_end|>"
