"""Checks of the stage prompt: from question to the text that the model completes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure
from sft_ref.harness.core.implementation import TaskRow
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.in_process.answer_parts import AskedText
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.instruments.convention import find_question
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.generation_recorder import Ids
from sft_ref.reference.prompt import OPEN_TAG

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@check(
    "PRM-001",
    "Questions that differ in number or unit give different prompts",
    why="The model cannot answer a question that does not reach it; it then learns an average answer.",
    remedy="Look for truncation or normalisation between question and prompt.",
)
def questions_that_differ_are_different_prompts(similar_prompts: Sequence[Mapping[str, Ids]]) -> None:
    """PRM-001: Compares the prompts of similar questions."""
    for prompts in similar_prompts:
        asked: dict[Ids, str] = {}
        for question, prompt in prompts.items():
            if prompt in asked:
                raise Failure(f"the prompt is the same as for {asked[prompt]!r}", "another prompt", question)
            asked[prompt] = question


@check(
    "PRM-002",
    "No special token occurs twice in a row in a prompt",
    why="If the template writes the first token and the tokenizer adds it again, the prompt differs from every"
    " training text.",
    remedy="Tokenize the text of a chat template with add_special_tokens=False.",
    source="T1 OpenRLHF#393",
)
def no_special_token_is_doubled(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Ids], probes: Sequence[TaskRow]
) -> None:
    """PRM-002."""
    special = set(tokenizer.all_special_ids)
    for (question, _), prompt in zip(probes, prompts, strict=True):
        doubled = [a for a, b in itertools.pairwise(prompt) if a == b and a in special]
        if doubled:
            raise Failure(f"{decode(tokenizer, doubled[:1])!r} occurs twice in a row", "once", question)


@check(
    "PRM-003",
    "The inference prompt is a prefix of the training text, up to the target",
    why="The model continues what it was trained to continue. Another wording, template or trailing space costs most"
    " of the accuracy; a missing open tag costs all answers.",
    remedy="Build training text and prompt with one function, and mask exactly that prompt.",
    source="T5 LlamaFactory#2509, M6 unslothai/notebooks#149",
)
def prompts_are_where_training_texts_leave_off(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Ids],
    examples: Sequence[TrainingExample],
    unusual_texts: Sequence[AskedText],
    task: Task,
) -> None:
    """PRM-003: Is blocked by a fault of tokens: rows of other texts or in another order, or unknown tokens.

    Compares texts; TOK-001 compares ids. Also asks questions with line breaks, markup and other letters.
    """
    unseen = []
    for (question, value), prompt, row in zip(task.probes, prompts, examples, strict=True):
        asked = _beginning(tokenizer, question, prompt, row)
        begin = row.begin or 0
        has_answer = task.contains(decode(tokenizer, row.ids[begin : row.end]), value)
        is_padding = {*row.ids[len(prompt) : begin]} == {tokenizer.pad_token_id}  # TOK-005 reports it
        gap = decode(tokenizer, row.ids[:begin]).lstrip()[len(asked) :]
        unseen.append(gap if has_answer and not is_padding else "")
    if all(unseen):  # in every row the prompt ends too early, although the labels contain the answer
        seen = f"{unseen[0]!r} is neither in the prompt nor labelled in the training text"
        raise Failure(seen, "no gap", task.probes[0][0])
    pairs = [
        (decode(tokenizer, each.prompt).lstrip(), decode(tokenizer, each.example.ids).lstrip(), each.question)
        for each in unusual_texts
    ]
    longest = max((len(asked) for asked, text, _ in pairs if text.startswith(asked)), default=0)
    for asked, text, question in pairs:
        before_end = text.removesuffix(tokenizer.eos_token or "")
        is_prompt_cut = asked in text[1:] and len(asked) >= longest  # by its length: GEN-001 reports it
        is_text_cut = asked.startswith(before_end)  # TOK-005 reports it
        if not (is_prompt_cut or is_text_cut or text.startswith(asked)):
            raise Failure(f"the prompt is {asked!r}", f"the beginning of {text!r}", question)


def _beginning(tokenizer: PreTrainedTokenizerBase, question: str, prompt: Ids, row: TrainingExample) -> str:
    """Returns the text of a prompt, which has to be the beginning of the training text."""
    asked, text = decode(tokenizer, prompt).lstrip(), decode(tokenizer, row.ids).lstrip()
    if not text.startswith(asked) or text == asked:
        if max(row.ids) >= len(tokenizer):
            raise Blocked("the training text has tokens that are unknown at inference: TOK-013 reports them")
        if not find_question(question, text):
            raise Blocked("the training text does not contain the question: TOK-012 reports it")
        raise Failure(f"the prompt is {asked!r}", f"the beginning of {text!r}", question)
    return asked


@check(
    "PRM-004",
    "The prompt is the question and an open tag, without a template",
    level=Level.CONTRACT,
    why="Adapters are exchanged between implementations; they fit only if all use one format.",
    remedy=f"Return question.strip() + ' {OPEN_TAG}'.",
)
def prompts_have_the_exact_form(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Ids], probes: Sequence[TaskRow]
) -> None:
    """PRM-004."""
    for (question, _), prompt in zip(probes, prompts, strict=True):
        asked, due = decode(tokenizer, prompt), f"{question} {OPEN_TAG}"
        if asked != due:
            raise Failure(f"the prompt is {asked!r}", repr(due), question)


@check(
    "PRM-005",
    "White space around a question does not change the prompt",
    level=Level.CONTRACT,
    why="A question from a file ends in a newline; with it, the prompt differs from every training text.",
    remedy="Strip the question before the prompt is built.",
)
def surrounding_white_space_is_ignored(tokenizer: PreTrainedTokenizerBase, spaced_prompts: Mapping[str, Ids]) -> None:
    """PRM-005."""
    plain, *_ = spaced_prompts.values()
    for spaced, prompt in spaced_prompts.items():
        if prompt != plain:
            seen, due = (decode(tokenizer, ids) for ids in (prompt, plain))
            raise Failure(f"white space around the question changes the prompt to {seen!r}", repr(due), spaced)
