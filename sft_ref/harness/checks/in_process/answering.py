"""Checks of the stage generate: whether what answers is the model that was loaded.

The other checks of generation compare answers with answers. These compare them with forwards of the loaded model.
"""

from __future__ import annotations

import copy

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.generation_recorder import RecordedAnswers, record_generation
from sft_ref.harness.instruments.losses import forward
from sft_ref.harness.instruments.model_state import changes
from sft_ref.harness.instruments.module_outputs import computed_dtypes
from sft_ref.harness.instruments.scripted_model import GeneratedRow
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.invented import invent
from sft_ref.harness.recorders.in_process.scripted_answers import write_answers


@check(
    "GEN-014",
    "The logits at every generated token are those of one forward of the loaded model without a cache",
    why="While answering, the adapter may be off, positions may be wrong, or part of the text may be out of sight."
    " Answers are then another model's.",
    remedy="Answer with the loaded model as it is: adapter on, a cache that keeps every token, one position a token.",
    depends_on=("GEN-001", "GEN-002"),
)
def logits_are_those_of_one_forward(context: Context) -> None:
    """Over prompt and tokens so far, alone and without padding, in fp32; for each row of a batch of unlike lengths."""
    with computed_dtypes(context.answerer.model) as dtypes:
        found = _answer(context)
    allowed = tolerance.rounding(max(dtypes, key=lambda dtype: torch.finfo(dtype).eps))
    rows = [row for row in found.generations if row.logits and not row.continues_cache]
    if not rows:
        raise Unavailable("no forward of `model` that begins a prompt was recorded")
    for row in rows:
        ids, steps = _generated(row, context.answerer.tokenizer.eos_token_id)
        one = torch.tensor([ids])
        due = forward(context.exact_model, Batch(one, torch.ones_like(one), one))[0].float().cpu()
        due = due[[len(row.prompt_ids) - 1 + step for step in steps]]
        seen = torch.stack([row.logits[step] for step in steps])
        apart = tolerance.apart(seen, due)
        if margins.exceeds(apart, allowed):
            first = steps[int((~(tolerance.apart_by_row(seen, due) <= allowed)).int().argmax())]
            observed = f"logits differ by {apart:.1e} of their spread, from new token {first} on"
            raise Failure(observed, f"at most {allowed:.1e}", decode(context.answerer.tokenizer, row.prompt_ids))


@check(
    "GEN-015",
    "Answering leaves the model as it was: values, dtypes, mode and adapters",
    why="A model that changes while it answers gives the next question another model's answer.",
    remedy="Cast, merge and switch adapters before answering, or undo it exactly afterwards.",
    depends_on=("GEN-016",),
)
def answering_changes_nothing(context: Context) -> None:
    """A model that is loaded for this: what has answered already may have changed already."""
    answerer = context.call(context.implementation.load, context.trained.folder)
    before = copy.deepcopy(answerer.model)
    context.call(answerer.answer, *(question for question, _ in context.fresh_rows[:4]))
    for seen, due, name in changes(before, answerer.model):
        raise Failure(seen, f"{due}, as before answering", name, survivable=True)


@check(
    "GEN-016",
    "Answering raises no exception",
    why="An exception loses every answer of its batch.",
    remedy="Test generation with prompts of unlike lengths, and with the longest answers.",
)
def answering_raises_nothing(context: Context) -> None:
    """Short and long answers in one batch. What the parser raises is for its own checks."""
    _answer(context)


def _answer(context: Context) -> RecordedAnswers:
    """Fresh questions that the model answers itself, and scripted long answers, in one call."""
    longest = context.task.dictate_longest(context.answerer.tokenizer)
    lines = write_answers(context, [*zip(invent(len(longest), seed=14), longest, strict=True)])
    questions = [line.question for line in lines] + [question for question, _ in context.fresh_rows[:5]]
    scripts = [line.script for line in lines]
    found: RecordedAnswers = context.call(
        record_generation, context.answerer, *questions, scripts=scripts, keep_logits=True
    )
    return found


def _generated(row: GeneratedRow, end: int) -> tuple[list[int], list[int]]:
    """Ids of a row up to its end, and the steps whose logits are known; what follows the end is padding."""
    new = row.new_token_ids
    length = new.index(end) + 1 if end in new else len(new)
    return [*row.prompt_ids, *new[:length]], [step for step in sorted(row.logits) if step < length]
