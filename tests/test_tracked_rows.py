"""Rows of a generation are followed by what is fed and which logits come back, without any model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sft_ref.harness.instruments.scripted.scripted_model import ScriptedModel
from sft_ref.harness.instruments.scripted.tracked_rows import GenerationRecorder, Script
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_tokenizer

TOKENIZER = load_tokenizer(TOY)
END = 2
QUESTION = "What is 3 quux in tove?"
PROMPT = tuple(TOKENIZER(f"{QUESTION} <answer>")["input_ids"])


def logits(*tokens: int) -> torch.Tensor:
    """Logits of one position, under which each row's next token is given."""
    found = torch.zeros(len(tokens), 1, 768)
    for row, token in enumerate(tokens):
        found[row, 0, token] = 9.0
    return found


def cache(length: int) -> SimpleNamespace:
    return SimpleNamespace(get_seq_length=lambda: length)


@pytest.fixture
def recorder() -> GenerationRecorder:
    return GenerationRecorder(TOKENIZER)


def test_a_row_is_followed_over_the_steps_of_a_cache(recorder: GenerationRecorder) -> None:
    recorder.before(torch.tensor([[0, 50, 51], [52, 53, 54]]), torch.tensor([[0, 1, 1], [1, 1, 1]]))
    recorder.after(logits(60, 61))
    recorder.before(torch.tensor([[60], [61]]), None, cache(3))
    recorder.after(logits(END, 62))
    one, other = recorder.finish()
    assert (one.prompt_ids, one.new_token_ids, one.continues_cache) == ([50, 51], [60, END], False)
    assert (other.prompt_ids, other.new_token_ids) == ([52, 53, 54], [61, 62])


def test_a_row_is_followed_when_all_its_ids_are_fed_again(recorder: GenerationRecorder) -> None:
    recorder.before(torch.tensor([[0, 50, 51], [52, 53, 54]]), torch.tensor([[0, 1, 1], [1, 1, 1]]))
    recorder.after(logits(60, END))
    recorder.before(torch.tensor([[50, 51, 60]]))  # the second has ended
    recorder.after(logits(61))
    assert [row.new_token_ids for row in recorder.finish()] == [[60, 61], [END]]


def test_rows_that_leave_the_batch_are_known_from_those_that_stay(recorder: GenerationRecorder) -> None:
    recorder.before(torch.tensor([[50, 51], [52, 53], [54, 55]]))
    recorder.after(logits(END, 60, 61))
    recorder.before(torch.tensor([[60], [61]]), None, cache(2))  # the first has ended
    recorder.after(logits(62, END))
    recorder.before(torch.tensor([[62]]), None, cache(3))
    recorder.after(logits(END))
    assert [row.new_token_ids for row in recorder.finish()] == [[END], [60, 62, END], [61, END]]


def test_a_row_whose_beginning_lies_in_a_cache_is_marked(recorder: GenerationRecorder) -> None:
    recorder.before(torch.tensor([[50, 51]]), None, cache(7))
    recorder.after(logits(END))
    assert [row.continues_cache for row in recorder.finish()] == [True]


def test_a_beginning_that_two_prompts_share_in_a_cache_does_not_join_them(recorder: GenerationRecorder) -> None:
    for prompt in (50, 51):
        recorder.before(torch.tensor([[prompt, 52]]), None, cache(7))
        recorder.after(logits(60))
        recorder.before(torch.tensor([[60]]), None, cache(9))
        recorder.after(logits(END))
    assert [row.prompt_ids for row in recorder.finish()] == [[50, 52], [51, 52]]
    assert [row.new_token_ids for row in recorder.generations] == [[60, END], [60, END]]


def test_tokens_that_the_model_did_not_choose_are_counted(recorder: GenerationRecorder) -> None:
    recorder.before(torch.tensor([[50, 51]]))
    recorder.after(logits(60))
    recorder.before(torch.tensor([[99]]), None, cache(2))
    recorder.after(logits(61))
    [row] = recorder.finish()
    assert row.non_greedy == 1


def test_rows_that_cannot_be_told_apart_are_new_ones_and_the_reason_is_told() -> None:
    reasons: list[str] = []
    recorder = GenerationRecorder(TOKENIZER, on_untrackable=reasons.append)
    recorder.before(torch.tensor([[50, 51], [52, 53]]))
    recorder.after(logits(60, 61))
    recorder.before(torch.tensor([[99]]), None, cache(2))
    recorder.after(logits(END))
    assert reasons == ["2 rows became 1 inside a cache"]
    assert [row.prompt_ids for row in recorder.finish()] == [[50, 51], [52, 53], [99]]


def test_each_row_gets_the_index_of_the_question_that_its_prompt_asks_last() -> None:
    questions = ["Convert 3 kg to g.", "What is 12 mm in m?", "2 mm in m?"]
    recorder = GenerationRecorder(TOKENIZER, questions)
    for prompt in (
        "What is  12 MM in m =>",
        "2 mm in m",
        "convert 3 kg to g? 3000 2 mm in m?",
        "Tell me about bread.",
        "112 mm in m?",
    ):
        recorder.before(torch.tensor([TOKENIZER(prompt)["input_ids"]]))
    assert [row.question for row in recorder.generations] == [1, 2, 2, None, None]


@pytest.mark.parametrize(
    ("strict", "due"), [(False, [70, 71, END, END, END]), (True, [70, 71, END, 70, 71])], ids=["end", "repeated"]
)
def test_a_script_is_written_to_its_end_and_then_again_or_the_end(due: list[int], *, strict: bool) -> None:
    model = ScriptedModel(TOKENIZER, [Script(QUESTION, (*PROMPT, 70, 71), (70, 71))], strict=strict)
    model.before(torch.tensor([PROMPT]))
    written: list[int] = []
    for step in range(len(due)):
        written.append(int(model.after(logits(99))[0, -1].argmax()))
        model.before(torch.tensor([[written[-1]]]), None, cache(len(PROMPT) + step))
    assert written == due


def test_what_generation_would_stop_at_is_not_written() -> None:
    model = ScriptedModel(TOKENIZER, [Script(QUESTION, (*PROMPT, END, 70, END), (70,))])
    model.before(torch.tensor([PROMPT]))
    assert int(model.after(logits(99))[0, -1].argmax()) == 70


def test_a_prompt_in_other_tokens_is_continued_as_its_text_is() -> None:
    other = tuple(token for letter in QUESTION for token in TOKENIZER(letter)["input_ids"])
    rest = " <answer>8</answer>"
    whole = (*TOKENIZER(QUESTION)["input_ids"], *TOKENIZER(rest)["input_ids"])
    model = ScriptedModel(TOKENIZER, [Script(QUESTION, whole, (70,))])
    assert other != whole[: len(other)]
    question, script = model.identify(other)
    assert question == 0
    assert model.decode(script or ()) == f"{rest}<|im_end|>"


@pytest.mark.parametrize("strict", [True, False])
def test_a_strict_script_is_not_read_from_the_logits_of_padding(*, strict: bool) -> None:
    model = ScriptedModel(TOKENIZER, [Script(QUESTION, (), (70,))], strict=strict)
    ids = torch.tensor([[*PROMPT, 0, 0]])
    model.before(ids, torch.tensor([[*[1] * len(PROMPT), 0, 0]]))
    chosen = model.after(torch.zeros(1, ids.shape[1], 768)).argmax(-1)[0].tolist()
    assert (chosen[len(PROMPT) - 1], chosen[-1] == 70) == (70, not strict)


FOUR = torch.tensor([[[[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]]], [[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]]])
"""Rows, 1, tokens, places of a cache: what each token attends to."""


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([[0, 1, 1, 0, 0], [1, 1, 1, 0, 0]]),  # longer than its ids
        FOUR.bool(),
        (1.0 - FOUR) * torch.finfo(torch.float32).min,
        {"full_attention": FOUR.bool()},
    ],
)
def test_padding_is_left_out_whatever_the_form_of_the_mask(recorder: GenerationRecorder, mask: object) -> None:
    recorder.before(torch.tensor([[0, 50, 51], [52, 53, 54]]), mask)
    recorder.after(logits(60, 61))
    later = torch.tensor([[0, 1, 1, 1, 0], [1, 1, 1, 1, 0]])
    recorder.before(torch.tensor([[60], [61]]), later, cache(3))
    recorder.after(logits(END, END))
    assert [row.prompt_ids for row in recorder.finish()] == [[50, 51], [52, 53, 54]]
    assert [row.new_token_ids for row in recorder.generations] == [[60, END], [61, END]]
