"""A question is put as --prompt says, to the letter, or as a chat template does."""

import pytest

from sft_ref.errors import SubmissionError
from sft_ref.harness.recorders.folder.answers.wording import (
    as_given,
    as_literal,
    as_template,
    check_prompt,
    difference,
    missing_header,
    without_space,
)
from sft_ref.io.rows.forms import Row

from .conftest import CHAT, tokenizer

ROW = Row((("system", "units"), ("user", "What is {x}?")), "{question}", None)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{question}", "holds {answer} 0 times"),
        ("{question} {question} {answer}", "holds {question} 2 times"),
        ("{answer} {question}", "the answer comes last"),
    ],
)
def test_a_prompt_without_one_question_and_one_answer_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check_prompt(prompt)


def test_braces_elsewhere_are_text() -> None:
    prompt = '{"q": "{question}", "city": {str}, "a": "{answer}"}'
    check_prompt(prompt)
    (text,) = as_given(prompt, [ROW], tokenizer()).texts
    assert (text.prompt, text.answer, text.closing) == (
        '{"q": "What is {x}?", "city": {str}, "a": "',
        "{question}",
        '"}',
    )


def test_what_ends_an_answer_stops_with_the_first_special_token() -> None:
    (text,) = as_given("{question}{answer}</answer><|im_end|>\n<|im_start|>", [ROW], tokenizer()).texts
    assert text.closing == "</answer><|im_end|>"


def test_a_template_gives_the_prompt_with_its_header_and_the_end_of_the_turn() -> None:
    tok = tokenizer()
    wording = as_template(tok.chat_template, [ROW], tok)
    assert wording
    assert wording.texts == as_given(CHAT, [ROW], tok).texts or wording.texts[0].complete
    assert wording.texts[0].prompt == CHAT.partition("{answer}")[0].replace("{question}", "What is {x}?")
    assert wording.texts[0].closing == "<|im_end|>"


def test_a_template_that_refuses_the_rows_is_none() -> None:
    assert as_template("{{ raise_exception('no system role') }}", [ROW], tokenizer()) is None
    assert as_template(None, [ROW], tokenizer()) is None


def test_the_space_before_an_answer_can_be_moved_to_the_answer() -> None:
    tok = tokenizer()
    moved = without_space(as_given("Q: {question} A: {answer}", [ROW], tok))
    assert moved
    assert moved.texts[0].prompt.endswith(" A:")
    assert moved.texts[0].answer == " {question}"
    assert without_space(as_given("{question}\n{answer}", [ROW], tok)) is None


def test_prompts_of_rows_are_their_own_only_where_all_are() -> None:
    own = Row((("user", "Q: who? A:"),), " me", None, literal=True)
    wording = as_literal([own], tokenizer())
    assert wording
    assert wording.texts[0].prompt == "Q: who? A:"
    assert as_literal([own, ROW], tokenizer()) is None


def test_a_missing_header_is_named_with_the_place() -> None:
    tok = tokenizer()
    templated = as_template(tok.chat_template, [ROW], tok)
    assert templated
    given = as_given(CHAT.replace("<|im_start|>assistant\n", ""), [ROW], tok).texts[0]
    assert missing_header(given, templated.texts[0], ROW.question) == "<|im_start|>assistant"
    part = difference(given.prompt, templated.texts[0].prompt)
    assert part.endswith(r"the prompt continues with the answer, the chat template with '<|im_start|>assistant\n'")
    whole = as_given(CHAT, [ROW], tok).texts[0]
    assert missing_header(whole, templated.texts[0], ROW.question) == ""
