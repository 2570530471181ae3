"""A data set is a target: what its labels teach is reported before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sft_ref.cli.main import main
from sft_ref.errors import DataError, SftRefError, SubmissionError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.target import grade_one

from .conftest import CHAT, CHATML, HEADER, MARKED, MakeBase, MakeRows, chat, failed, result

Graded = Callable[..., Verdict]
ROWS = [chat("Who?", "Me."), chat("How many g are 6 kg?", "6000", "And 7?", "7000", system="Be brief.")]
PROMPT = "Q: {question}\nA:{answer}"


@pytest.mark.parametrize("labels", ["completion", "all"])
def test_sound_conversations_are_sound(labels: str, make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows(ROWS), labels=labels)
    assert verdict.status is Status.SOUND, verdict.cause
    assert verdict.examined_stages == ("prompt", "tokens")


def test_marked_answers_are_sound(make_rows: MakeRows, make_base: MakeBase, graded: Graded) -> None:
    verdict = graded(make_rows(ROWS), make_base(chat_template=MARKED), labels="assistant")
    assert verdict.status is Status.SOUND, verdict.cause


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "Who?\n", "completion": "Me."}, None),
        (["Who?", 6000], PROMPT),
        ({"text": "Q: Who?\nA:Me."}, PROMPT),
    ],
)
def test_other_forms_of_rows_are_sound(row: object, prompt: str | None, make_rows: MakeRows, graded: Graded) -> None:
    assert graded(make_rows([row] * 3), prompt=prompt).status is Status.SOUND


def test_texts_without_a_known_answer_are_not_shown_and_not_accused(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows([{"text": "Some text."}]), labels="all")
    assert verdict.status is Status.NOT_SHOWN
    assert verdict.examined_stages == ("tokens",)


def test_a_template_without_a_generation_block_marks_nothing(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows(ROWS), labels="assistant")
    assert verdict.status is Status.BROKEN
    assert verdict.stages == ("tokens",)
    assert failed(verdict).keys() == {"TOK-401"}
    assert "{% generation %}" in failed(verdict)["TOK-401"]


def test_a_generation_block_that_closes_before_the_end_is_named(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    early = MARKED.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>")
    verdict = graded(make_rows(ROWS), make_base(chat_template=early), labels="assistant")
    assert failed(verdict).keys() == {"TOK-402"}
    assert "the generation block of the chat template closes before it" in failed(verdict)["TOK-402"]


def test_padding_with_the_end_masks_it_where_padding_is_masked_by_its_id(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows(ROWS), labels="collator")
    assert failed(verdict).keys() == {"TOK-402"}
    assert "'<|im_end|>', has no label, since it is also the padding token" in failed(verdict)["TOK-402"]


@pytest.mark.parametrize(
    ("padding", "labels"),
    [("<|endoftext|>", "collator"), ("<|im_end|>", "completion"), ("<|im_end|>", "all")],
)
def test_padding_that_masks_no_end_is_sound(
    padding: str, labels: str, make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    assert graded(make_rows(ROWS), make_base(pad_token=padding), labels=labels).status is Status.SOUND


def test_a_template_that_writes_no_end_is_named(make_rows: MakeRows, make_base: MakeBase, graded: Graded) -> None:
    plain = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    plain += "{% if add_generation_prompt %}assistant:{% endif %}"
    verdict = graded(make_rows([chat("Who?", "Me.")]), make_base(chat_template=plain))
    assert failed(verdict).keys() == {"TOK-402"}
    assert "no special token ends the answer as formatted by the chat template" in failed(verdict)["TOK-402"]


def test_a_template_that_changes_the_answer_is_not_accused_of_its_end(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    upper = CHATML.replace("{{ m.content }}", "{{ m.content | upper }}")
    verdict = graded(make_rows([chat("Who?", "Me.")]), make_base(chat_template=upper))
    assert failed(verdict).keys() == {"PRM-403"}
    assert "the ends of the answers cannot be located in the texts" in verdict.coverage_text


def test_a_template_that_takes_no_conversation_that_ends_early_is_not_accused(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    strict = "{% if messages | length == 2 %}{{ raise_exception('too short') }}{% endif %}" + CHATML
    verdict = graded(make_rows([chat("One?", "1", "Two?", "2")]), make_base(chat_template=strict), labels="all")
    assert result(verdict, "PRM-402").outcome is Outcome.SKIPPED
    assert verdict.status is Status.SOUND


def test_a_template_whose_prompt_leaves_the_text_is_named(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    thinking = CHAT + HEADER.replace("assistant\n", "assistant\n<think>\n")
    verdict = graded(make_rows([chat("Who?", "It was me, and nobody else.")]), make_base(chat_template=thinking))
    assert verdict.stages == ("prompt",)
    assert failed(verdict).keys() == {"PRM-401"}
    assert "the prompt continues with '<think" in failed(verdict)["PRM-401"]


@pytest.mark.parametrize(("labels", "check"), [("all", {"PRM-402"}), ("completion", set())])
def test_a_template_that_does_not_preserve_prefixes_matters_where_earlier_answers_are_supervised(
    labels: str, check: set[str], make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    strips = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else m.content.split('>')[-1] }}")
    rows = [chat("Who?", "<think>me?</think>Me.", "Sure?", "<think>yes?</think>Yes.")]
    verdict = graded(make_rows(rows), make_base(chat_template=strips), labels=labels)
    assert failed(verdict).keys() == check
    assert verdict.status is (Status.DRIFT if check else Status.SOUND)


def test_a_tokenizer_that_joins_prompt_and_answer_is_named(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows([["How cold?", "-5"]] * 2), prompt="{question} A: {answer}")
    assert failed(verdict).keys() == {"PRM-401"}
    assert "the tokenizer joins the end of the prompt, ' ', with the answer: ' -5" in failed(verdict)["PRM-401"]


def test_one_odd_row_of_many_is_advice_with_its_number(make_rows: MakeRows, graded: Graded) -> None:
    rows = [*[["How warm?", "5"]] * 30, ["How cold?", "-5"]]
    verdict = graded(make_rows(rows), prompt="{question} A: {answer}")
    assert verdict.status is Status.SOUND
    found = result(verdict, "PRM-401")
    assert found.outcome is Outcome.ADVICE
    assert "in 1 of 31 rows the training text does not begin with the prompt, in row 31" in found.observed


def test_answers_that_truncation_cuts_are_counted(make_rows: MakeRows, graded: Graded) -> None:
    rows = make_rows([chat("Who?", f"{'Me. ' * 20}", system="s")] * 2)
    verdict = graded(rows, max_length=30)
    assert failed(verdict).keys() == {"TOK-403"}
    assert "30 tokens cut the answer in 2 of 2 rows" in failed(verdict)["TOK-403"]
    assert graded(rows, max_length=1024).status is Status.SOUND


def test_prompts_as_long_as_the_limit_leave_no_label(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows(ROWS), max_length=5)
    assert failed(verdict).keys() == {"TOK-401", "TOK-403"}
    assert "5 tokens end before the answer begins" in failed(verdict)["TOK-401"]


def test_empty_answers_are_drift_with_their_numbers(make_rows: MakeRows, graded: Graded) -> None:
    verdict = graded(make_rows([*ROWS, chat("Who?", ""), chat("Who?", " ")]))
    assert verdict.status is Status.DRIFT
    assert failed(verdict) == {"TOK-404": "2 of 4 rows have an empty answer"}
    assert result(verdict, "TOK-404").example == "rows 3, 4"


def test_an_end_that_nothing_stops_at_is_reported_before_training(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    base = make_base(eos=0, eos_token="<|endoftext|>")
    verdict = graded(make_rows(ROWS), base)
    assert failed(verdict).keys() == {"GEN-203"}
    assert verdict.status is Status.BROKEN


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([{"text": "a"}], {}, "row 1 is a text, which does not say where its answer begins"),
        ([{"text": "a"}, ["a", "b"]], {"labels": "all"}, "row 2 is not a text, although others are"),
        ([["a", "b"], {"text": "c"}], {"prompt": PROMPT}, "row 2 has a text that is not written as 'Q: {question}"),
        ([["a", "b"]], {"prompt": PROMPT, "labels": "assistant"}, "--labels assistant: needs a chat template"),
        ([["a", "b"]], {"prompt": PROMPT, "chat_template": "tokenizer"}, "both say how texts are formatted"),
        ([["a", "b"]], {"chat_template": "none.jinja"}, "none.jinja: cannot be read"),
        ([chat("a", "b", "c", "d")], {"prompt": PROMPT}, "row 1 has several questions"),
        ([["a", "b"], ["c"]], {}, "row 2 is a list that is not a pair"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_row(
    rows: list[object], options: dict[str, Any], says: str, make_rows: MakeRows, graded: Graded
) -> None:
    with pytest.raises((DataError, SubmissionError), match=says):
        graded(make_rows(rows), **options)


def test_a_template_that_refuses_a_row_is_reported_with_file_and_row(
    make_rows: MakeRows, make_base: MakeBase, graded: Graded
) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
    with pytest.raises(DataError, match=r"rows.jsonl: row 2: the chat template cannot write it \(.*no system role"):
        graded(make_rows(ROWS), make_base(chat_template=strict))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give --base"),
        ({"base": "toy", "data": Path("x")}, "--data: is for an adapter, and"),
        ({"base": "toy", "adapter": Path("x")}, "--adapter: is for a merged model, and"),
    ],
)
def test_options_of_other_targets_are_refused(options: dict[str, Any], says: str, make_rows: MakeRows) -> None:
    with pytest.raises(SftRefError, match=says):
        grade_one(str(make_rows(ROWS)), **options)


@pytest.mark.slow
def test_the_command_line_grades_a_data_set(
    make_rows: MakeRows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text(CHATML)
    words = ["grade", str(make_rows(ROWS)), "--base", "toy", "--chat-template", str(template)]
    assert main(words) == 0
    assert main([*words, "--max-length", "5"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "written by the chat template for toy, labels: completion, truncated to 5 tokens" in out
