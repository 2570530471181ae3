"""How a submission writes questions and answers is read from its training texts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.instruments.convention import (
    core,
    find_convention,
    find_frame,
    find_prompt,
    find_question,
    read_texts,
)
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.recorders.submission.recording import Recording
from sft_ref.harness.recorders.submission.scripts import ScriptWriter
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.data import is_answer_valid, split_rows
from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.tokens import IGNORE_INDEX, tokenize_example

ROWS = [
    ("How many gram are there per 6 kg?", 6000.0),
    ("Convert 3 TB to bits.", 24000000000000.0),
    ("What is 2 mm in m?", 0.002),
    ("Change 7.5 MB to kB.", 7500.0),
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(TOY)


def taught(tokenizer: PreTrainedTokenizerBase, lead: str, target: str) -> TrainingExample:
    prompt, ids = encode(tokenizer, lead), encode(tokenizer, lead + target)
    return TrainingExample(ids, (IGNORE_INDEX,) * len(prompt) + ids[len(prompt) :])


@pytest.mark.parametrize(
    ("lead", "target"),
    [
        ("{q} <answer>", "{v!r}</answer><|im_end|>"),
        ("<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n", "<answer>{v!r}</answer><|im_end|>"),
        ("Q: {q}\nA:", " {v!r}\n"),
    ],
)
def test_a_text_of_the_data_is_written_again_as_it_was(
    lead: str, target: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = [taught(tokenizer, lead.format(q=q), target.format(v=v)) for q, v in ROWS]
    texts = read_texts(rows, ROWS, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    assert len(texts) == len(ROWS)
    for (question, value), row in zip(ROWS, rows, strict=True):
        assert convention.text(question, convention.write(value)) == decode(tokenizer, row.ids)


def test_the_tokens_of_the_number_are_found(tokenizer: PreTrainedTokenizerBase) -> None:
    [text] = read_texts([taught(tokenizer, f"{ROWS[1][0]} <answer>", f"{ROWS[1][1]!r}</answer>")], ROWS, tokenizer)
    assert decode(tokenizer, text.example.ids[text.begin : text.end]) == "24000000000000.0"
    assert text.is_answered


def test_a_text_without_its_answer_is_known_as_such(tokenizer: PreTrainedTokenizerBase) -> None:
    [text] = read_texts([taught(tokenizer, f"{ROWS[2][0]} <answer>", "0</answer>")], ROWS, tokenizer)
    assert not text.is_answered
    assert find_convention([text]) is None


def test_rounding_is_part_of_the_convention(tokenizer: PreTrainedTokenizerBase) -> None:
    values = (3.14159265, 2.71828182, 1.41421356)
    rows = [(f"What is {n} inch in cm?", value) for n, value in enumerate(values, start=2)]
    texts = read_texts([taught(tokenizer, f"{q} =", f" {v:.3f}<|im_end|>") for q, v in rows], rows, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    assert convention.write(0.57721566) == "0.577"


@pytest.mark.parametrize("form", ["{:,.2f}", "{:,}", "{:.6e}"])
def test_separators_and_exponents_are_part_of_the_convention(form: str, tokenizer: PreTrainedTokenizerBase) -> None:
    texts = read_texts([taught(tokenizer, f"{q} =", f" {form.format(v)}\n") for q, v in ROWS], ROWS, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    assert convention.write(1234567.0) == form.format(1234567.0)


def test_of_several_questions_the_last_is_asked(tokenizer: PreTrainedTokenizerBase) -> None:
    example = f"{ROWS[0][0]} <answer>{ROWS[0][1]}</answer>\n"
    rows = [taught(tokenizer, f"{example}{q} <answer>", f"{v!r}</answer>") for q, v in ROWS]
    texts = read_texts(rows, ROWS, tokenizer)
    assert [text.question for text in texts] == [question for question, _ in ROWS]
    assert {text.before for text in texts} == {example}
    prompts = [f"{example}{ROWS[2][0]}", f"{example}{ROWS[0][0]}"]
    assert [find_prompt(question, prompts) for question, _ in ROWS[:3]] == [1, None, 0]


def test_a_question_is_spelt_as_in_training(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [taught(tokenizer, f"{q.lower()} =", f" {v!r}\n") for q, v in ROWS]
    convention = find_convention(read_texts(rows, ROWS, tokenizer))
    assert convention is not None
    assert convention.lead("What is 1 KB in b?") == "what is 1 kb in b? = "


@given(
    question=st.sampled_from([question for question, _ in ROWS]),
    mark=st.sampled_from(["", "?", " ?", ".", "!"]),
    space=st.sampled_from([" ", "  ", "\n"]),
    upper=st.booleans(),
)
def test_a_question_is_known_again_whatever_its_mark_spaces_and_case(
    question: str, mark: str, space: str, *, upper: bool
) -> None:
    written = core(question).replace(" ", space) + mark
    found = find_question(question, f"Please: {written.upper() if upper else written} =>")
    assert found is not None
    assert found.group().casefold().startswith(question.split(maxsplit=1)[0].casefold())


def test_a_script_says_what_the_model_was_taught_to_write(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [taught(tokenizer, f"{q} =>", f" <answer>{v!r}</answer><|im_end|>") for q, v in ROWS]
    texts = read_texts(rows, ROWS, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    writer = ScriptWriter(convention, texts, tokenizer)
    line = writer.line("How many florps are 3 quux?", "42.0")
    assert decode(tokenizer, line["target"]) == " <answer>42.0</answer><|im_end|>"
    assert decode(tokenizer, line["whole"]) == "How many florps are 3 quux? => <answer>42.0</answer><|im_end|>"
    assert "<answer>" not in decode(tokenizer, writer.silence("How many florps are 3 quux?")["target"])


@pytest.mark.parametrize(("words", "alike"), [(("so",), True), (("per", "in", "to"), False)])
def test_texts_that_vary_from_question_to_question_tell_nothing_of_a_fresh_one(
    words: tuple[str, ...], alike: bool, tokenizer: PreTrainedTokenizerBase
) -> None:
    leads = [f"{q} {words[n % len(words)]} <answer>" for n, (q, _) in enumerate(ROWS)]
    rows = [taught(tokenizer, lead, f"{v!r}</answer>") for lead, (_, v) in zip(leads, ROWS, strict=True)]
    texts = read_texts(rows, ROWS, tokenizer)
    case = SimpleNamespace(texts=texts, convention=find_convention(texts))
    assert Recording.writes_alike.func(case) is alike  # type: ignore[attr-defined]  # all that it looks at


def test_no_answer_of_the_benchmark_hangs_on_how_it_is_rounded(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [("How many gallon are 9 cL?", value) for value in (0.023775484712233366, 1e-5, 0.0, 6.0)] * 5
    texts = read_texts([taught(tokenizer, f"{q} <answer>", f"{v!r}</answer>") for q, v in ROWS], ROWS, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    for line, (_, value) in zip(ScriptWriter(convention, texts, tokenizer).write_benchmark(rows), rows, strict=True):
        answer = float(line["numeral"] or "nan")
        assert is_answer_valid(answer, value) == (abs(answer - value) < 0.05 * abs(value))
    assert any(line["numeral"] for line in ScriptWriter(convention, texts, tokenizer).write_benchmark(rows))


@pytest.mark.parametrize(
    ("target", "between", "after"),
    [
        (" <answer>{v!r}</answer> So it is {v!r}.<|im_end|>", " <answer>", "</answer> So it is "),
        (" it is {v!r}, so <answer>{v!r}</answer><|im_end|>", None, "</answer><|im_end|>"),
    ],
    ids=["repeated behind", "worked out before"],
)
def test_of_a_number_that_stands_twice_the_one_behind_a_tag_is_the_answer(
    target: str, between: str | None, after: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    texts = read_texts([taught(tokenizer, q, target.format(v=v)) for q, v in ROWS], ROWS, tokenizer)
    convention = find_convention(texts)
    assert convention is not None
    assert convention.after == after
    for (_, value), text in zip(ROWS, texts, strict=True):
        assert text.between.endswith("<answer>")
        assert (repr(value) in text.between) == (between is None)


def packed(rows: list[TrainingExample]) -> TrainingExample:
    return TrainingExample(
        tuple(t for row in rows for t in row.ids), tuple(label for row in rows for label in row.labels)
    )


@pytest.mark.parametrize("whole", [False, True], ids=["answers labelled", "all labelled"])
def test_a_packed_row_is_the_texts_that_it_packs(tokenizer: PreTrainedTokenizerBase, *, whole: bool) -> None:
    rows = [taught(tokenizer, f"{q}\n<answer>", f"{v!r}</answer><|im_end|>") for q, v in ROWS]
    if whole:
        rows = [TrainingExample(row.ids, row.ids) for row in rows]
    texts = read_texts([packed(rows)], ROWS, tokenizer)
    assert [text.question for text in texts] == [question for question, _ in ROWS]
    assert [text.example for text in texts] == rows


def test_the_turns_of_a_conversation_are_one_text(tokenizer: PreTrainedTokenizerBase) -> None:
    turns = "\n".join(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{v!r}<|im_end|>" for q, v in ROWS)
    row = TrainingExample(encode(tokenizer, turns), encode(tokenizer, turns))
    [text] = read_texts([row], ROWS, tokenizer)
    assert text.example == row


def test_examples_without_labels_are_no_texts_of_their_own(tokenizer: PreTrainedTokenizerBase) -> None:
    examples = "".join(f"{q} <answer>{v!r}</answer><|im_end|>" for q, v in ROWS[:3])
    row = taught(tokenizer, f"{examples}{ROWS[3][0]} <answer>", f"{ROWS[3][1]!r}</answer><|im_end|>")
    [text] = read_texts([row], ROWS, tokenizer)
    assert text.question == ROWS[3][0]
    assert text.example == row


def test_a_token_that_the_tokenizer_lacks_parts_what_it_stands_between(tokenizer: PreTrainedTokenizerBase) -> None:
    """Left out, it would let a full stop and a number run together."""
    question, value = ROWS[1]
    added = (len(tokenizer) + 3,)
    ids = encode(tokenizer, question) + added + encode(tokenizer, repr(value)) + added
    [text] = read_texts([TrainingExample(ids, ids)], ROWS, tokenizer)
    assert text.is_answered
    assert text.numeral == repr(value)
    assert ids[text.begin : text.end] == encode(tokenizer, repr(value))


@pytest.mark.parametrize("frame", ["{q}", "Q: {q}\nA:", "<|im_start|>user\n{q}<|im_end|>\n"])
@pytest.mark.parametrize("spell", [str, str.lower])
def test_prompts_for_further_questions_are_written_as_those_that_were_seen(
    frame: str, spell: Callable[[str], str]
) -> None:
    prompts = [frame.format(q=spell(question)) for question, _ in ROWS]
    found = find_frame([question for question, _ in ROWS[:3]], prompts[:3])
    assert found is not None
    assert found.lead(ROWS[3][0]) == prompts[3]


def test_prompts_without_their_questions_have_no_frame() -> None:
    assert find_frame([question for question, _ in ROWS], ["Convert."] * len(ROWS)) is None


def test_texts_are_read_up_to_the_end_of_training(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = split_rows("train")
    examples = [tokenize_example(tokenizer, *row) for row in rows]
    labelled = [TrainingExample(each.input_ids, each.input_ids) for each in examples]
    read = [text.question for text in read_texts(labelled, rows, tokenizer)]
    assert len(read) <= 400
    assert {question for question, _ in rows[:100]} <= {*read}
    assert {question for question, _ in rows[-100:]} & {*read}
