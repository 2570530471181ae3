"""Checks of the stage score: from numbers to the figures reported."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import torch

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, NotGiven, Unavailable
from sft_ref.harness.core.implementation import TaskRow
from sft_ref.harness.instruments.adapter_off import without_adapter
from sft_ref.harness.instruments.generation_recorder import Unasked, find_transformer, scripted_model
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.scripted_answers import write_answers, write_words
from sft_ref.reference.data import is_answer_valid
from sft_ref.reference.questions import generate_rows

_SEED = 3
"""Of questions that stand in no split, so that nobody can have stored their answers."""

_FACTORS = (1.0, 1.0, 1.0, 1.03, 0.97, 1.08, 0.92, 1.4, -1.0)
"""Answers that the model is made to give, in units of the truth: five are right, four are wrong."""
_RIGHT = 5
_SILENT = 3
"""Questions, besides, to which it is made to give none."""

_NEW_TOKENS = 32
_LOOKED_UP = 0.2
"""Share of questions; 13 more right of 64 have a chance under 0.001 where both answer alike."""


@check(
    "SCR-001",
    "The reported accuracy and answer_rate are the shares of right answers (within 5 %) and of answers",
    why="Figures that are counted differently cannot be compared, and can hide that nothing is answered.",
    remedy="Count over all questions: right if strictly within 5 %, answered if not NaN.",
    depends_on=("PRS-001",),
    source="S4",
)
def figures_are_those_of_the_answers(context: Context) -> None:
    """SCR-001: the model is made to answer so that both figures are known."""
    if getattr(context.implementation, "test", None) is None:
        raise NotGiven("no figures are reported: give the implementation a method test")
    if context.task.judge is None:
        raise NotGiven("answers are judged by their loss alone: give a judge of answers")
    rows = _unseen(context, len(_FACTORS) + _SILENT)
    pairs = zip(rows, _FACTORS, strict=False)
    scripted = [(question, _scaled(context, truth, factor)) for (question, truth), factor in pairs]
    scripts = [answer.script for answer in write_answers(context, scripted)]
    scripts += write_words(context, [question for question, _ in rows[len(_FACTORS) :]])
    with scripted_model(context.answerer.model, context.answerer.tokenizer, scripts):
        found = context.call(context.implementation.test, context.answerer, rows)
    due = {"accuracy": _RIGHT / len(rows)}
    if not context.task.is_text:  # words that are no number are an answer there
        due["answer_rate"] = len(_FACTORS) / len(rows)
    for name, share in due.items():
        if abs(getattr(found, name) - share) > 1 / (2 * len(rows)):
            raise Failure(f"{name} is {getattr(found, name):.3f}", f"{share:.3f}", f"{len(rows)} scripted answers")


@check(
    "SCR-002",
    "Without its adapter, the model answers like its base",
    why="Answers that need no training come from somewhere else, such as the data files.",
    remedy="Answer with the model.",
    depends_on=("SCR-001",),
    source="S5",
)
def without_adapter_it_answers_as_its_base(context: Context) -> None:
    """SCR-002: on questions of a split that is on every machine."""
    answerer, rows = context.answerer, context.fresh_rows
    questions = [question for question, _ in rows]
    with without_adapter(answerer, context.implementation.base):
        answers = context.call(answerer.answer, *questions)
        texts = _complete(context, questions)
    own = [context.call(answerer.parse_answer, text) for text in texts]
    truths = [truth for _, truth in rows]
    theirs, base = (sum(map(context.task.is_right, each, truths)) / len(rows) for each in (answers, own))
    if theirs >= base + _LOOKED_UP:
        raise Failure(
            f"without the adapter, accuracy is {theirs:.2f}", f"{base:.2f}, as of its base", f"{len(rows)} rows"
        )


def _scaled(context: Context, truth: Any, factor: float) -> Any:  # noqa: ANN401  # a number or a text
    """An answer that is right or wrong as the factor says; of texts the true one, or a wrong one."""
    if not context.task.is_text:
        return truth * factor
    return truth if is_answer_valid(factor, 1.0) else context.task.wrong(truth)


def _unseen(context: Context, count: int) -> list[TaskRow]:
    """Questions of no split, whose answers lose nothing by being written with few decimals; or of the user's rows."""
    if context.task.is_own:
        rows = [*context.fresh_rows, *context.train_rows]
        rows = rows if context.task.is_text else [row for row in rows if abs(row[1]) >= 1]
        if len(rows) < count:
            raise Unavailable(f"{len(rows)} rows have an answer of 1 or more: give {count}")
        return rows[:count]
    return list(itertools.islice((row for row in generate_rows(_SEED) if 10 <= row[1] <= 1e6), count))  # noqa: PLR2004


def _complete(context: Context, questions: list[str]) -> list[str]:
    """What the model writes when it is asked directly, with the prompts that `answer` sends."""
    tokenizer = context.answerer.tokenizer
    model: Any = find_transformer(context.answerer.model)
    prompts = []
    for question in questions:
        with contextlib.suppress(Unasked):
            prompts.append(context.prompt_of(question))
    if len(prompts) < len(questions):
        raise Failure(f"{len(questions) - len(prompts)} questions are answered without the model", "none")
    longest = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.pad_token_id or 0] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    device = next(model.parameters()).device
    with torch.inference_mode():
        new = model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=_NEW_TOKENS, do_sample=False
        )
    return [str(text) for text in tokenizer.batch_decode(new[:, longest:], skip_special_tokens=True)]
