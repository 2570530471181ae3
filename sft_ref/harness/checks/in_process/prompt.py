"""Checks of the stage prompt: from question to the text that the model completes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.instruments.convention import decode, find_question
from sft_ref.harness.instruments.generation_recorder import Ids, Unasked
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.reference.prompt import OPEN_TAG
from sft_ref.reference.questions import PHRASINGS, UNITS

_UNITS = [tuple(spellings[0] for spellings in units.values()) for units in UNITS.values()]
_FRAMES = ("First: {question}", "Second: {question}", "{question} Be brief.", "{question} Be exact.")


@check(
    "PRM-001",
    "Questions that differ in number or unit give different prompts",
    why="The model cannot answer what does not reach it; training then learns an average.",
    remedy="Look for truncation or normalisation between question and prompt.",
)
def questions_that_differ_are_different_prompts(context: Context) -> None:
    """PRM-001."""
    for questions in _alike(context):
        asked: dict[Ids, str] = {}
        for question in questions:
            with contextlib.suppress(Unasked):  # the score's finding
                prompt = context.prompt_of(question)
                if prompt in asked:
                    raise Failure(f"the prompt is the same as for {asked[prompt]!r}", "another prompt", question)
                asked[prompt] = question


def _alike(context: Context) -> Iterator[list[str]]:
    """Questions that differ a little, the shortest first; of rows of one's own, what stands before or behind them."""
    if context.task.is_own:
        for question, _ in sorted(context.probes, key=lambda row: len(row[0])):
            yield [question, *(form.format(question=question) for form in _FRAMES)]
        return
    for i, phrasing in enumerate(sorted(PHRASINGS, key=len)):
        of, to, other = _UNITS[i % len(_UNITS)][:3]
        n = i % 10 + 1
        yield [
            phrasing.format(n=n, of=of, to=to),
            phrasing.format(n=n % 10 + 1, of=of, to=to),
            phrasing.format(n=n, of=other, to=to),
            phrasing.format(n=n, of=of, to=other),
        ]


@check(
    "PRM-002",
    "No special token occurs twice in a row in a prompt",
    why="If the template writes the first token and the tokenizer adds it again, the prompt differs from every"
    " training text.",
    remedy="Tokenize the text of a chat template with add_special_tokens=False.",
    source="T1 OpenRLHF#393",
)
def no_special_token_is_doubled(context: Context) -> None:
    """PRM-002."""
    special = set(context.answerer.tokenizer.all_special_ids)
    for (question, _), prompt in zip(context.probes, context.prompts, strict=True):
        doubled = [a for a, b in itertools.pairwise(prompt) if a == b and a in special]
        if doubled:
            raise Failure(
                f"{decode(context.answerer.tokenizer, doubled[:1])!r} occurs twice in a row", "once", question
            )


@check(
    "PRM-003",
    "The inference prompt is a prefix of the training text, up to the target",
    why="The model continues what it was trained to continue. Another wording, template or trailing space costs most"
    " of the accuracy; a missing open tag costs all answers.",
    remedy="Build training text and prompt with one function, and mask exactly that prompt.",
    source="T5 LlamaFactory#2509, M6 unslothai/notebooks#149",
)
def prompts_are_where_training_texts_leave_off(context: Context) -> None:
    """PRM-003: a batch whose rows change places is the tokens' fault, not that of the wording."""
    tokenizer = context.answerer.tokenizer
    prompts = context.prompts  # before the batch: a tokenizer that training changes is another check's finding
    examples = examples_of(context.batch)
    short = []
    for (question, value), prompt, row in zip(context.probes, prompts, examples, strict=True):
        asked, text = decode(tokenizer, prompt).lstrip(), decode(tokenizer, row.ids).lstrip()
        if not text.startswith(asked) or text == asked:
            if not find_question(question, text) and any(find_question(other, text) for other, _ in context.probes):
                raise Blocked("rows of the training batch have changed places: TOK-012 reports it")
            raise Failure(f"the prompt is {asked!r}", f"the beginning of {text!r}", question)
        begin = row.begin or 0
        short.append(begin > len(prompt) and context.task.contains(decode(tokenizer, row.ids[begin : row.end]), value))
    if all(short):  # in every row the prompt ends too early, and the labels are none the worse
        question, first = context.probes[0][0], examples[0]
        unseen = decode(tokenizer, first.ids[len(prompts[0]) : first.begin])
        raise Failure(f"{unseen!r} is neither in the prompt nor labelled", "no gap", question)


@check(
    "PRM-004",
    "The prompt is the question and an open tag, without a template",
    level=Level.CONTRACT,
    why="Adapters are exchanged between implementations; they fit only if all use one format.",
    remedy=f"Return question.strip() + ' {OPEN_TAG}'.",
)
def prompts_have_the_exact_form(context: Context) -> None:
    """PRM-004."""
    for (question, _), prompt in zip(context.probes, context.prompts, strict=True):
        asked, due = decode(context.answerer.tokenizer, prompt), f"{question} {OPEN_TAG}"
        if asked != due:
            raise Failure(f"the prompt is {asked!r}", repr(due), question)


@check(
    "PRM-005",
    "White space around a question does not change the prompt",
    level=Level.CONTRACT,
    why="A question from a file ends in a newline; with it, the prompt differs from every training text.",
    remedy="Strip the question before the prompt is built.",
)
def surrounding_white_space_is_ignored(context: Context) -> None:
    """PRM-005."""
    question = context.probes[0][0]
    plain = context.prompt_of(question)
    for spaced in (f" {question}", f"{question}\n", f"\t{question}  "):
        prompt = context.prompt_of(spaced)
        if prompt != plain:
            seen, due = (decode(context.answerer.tokenizer, ids) for ids in (prompt, plain))
            raise Failure(f"the prompt is {seen!r}", repr(due), spaced)
