"""Checks of the stage generate: from prompts to completions.

Questions are about units that do not exist, unless the statement is about those of the data: an implementation that
looks its answers up is caught by that statement, not by these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.instruments.generation_recorder import record_parser, scripted_model
from sft_ref.harness.instruments.module_outputs import first_states, last_outputs
from sft_ref.harness.instruments.scripted_model import find_question, normalize
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.invented import invent
from sft_ref.harness.recorders.in_process.scripted_answers import (
    AnswerScript,
    ScriptedOutcome,
    run_script,
    write_answers,
)

_MANY = 9
"""Answers of a batch."""


@check(
    "GEN-001",
    "The whole question reaches the model",
    why="A truncated prompt asks a question that differs from the training texts; the longest questions are"
    " truncated first.",
    remedy="Pass no truncation to the tokenizer at inference, or a limit above the longest prompt.",
    depends_on=("GEN-016",),
)
def the_whole_question_reaches_the_model(context: Context) -> None:
    """The longest questions of the data. Prompts are recognised by their question, or by their ids in training."""
    longest = sorted(context.train_rows, key=lambda row: len(row[0]))[-4:]
    run_script(context, write_answers(context, longest), end_at_once=True)


@check(
    "GEN-002",
    "Every activation at the last token is finite, for any padding and batches of 1 to 8",
    why="One infinity makes all logits of its row NaN; the answer of that row is then NaN or empty.",
    remedy="Compute in bfloat16 or float32, and let no row of an attention mask be fully masked.",
    depends_on=("GEN-001",),
    source="transformers#27179, transformers#39972, unsloth#9848, transformers#17306",
)
def everything_that_feeds_a_logit_is_finite(context: Context) -> str | None:
    """Asks a question with a number of 29 digits among others with fewer; no two batches pad alike."""
    *shorter, longest = _dictate(context, [f"{'7' * n} florps in quux?" for n in range(1, 30)])
    most, where = 0.0, ""
    for size in range(1, 9):
        first = (size - 1) * (size - 2) // 2
        lines = [*shorter[first : first + size - 1], longest]
        with last_outputs(context.answerer.model) as outputs:
            run_script(context, lines, end_at_once=True)
        for name, output in outputs:
            if not output.isfinite().all():
                rows = int((~output.isfinite()).flatten(1).any(1).sum())
                seen = f"the {output.dtype} output of {name} has NaN or infinity in {rows} of {len(output)} rows"
                raise Failure(seen, "finite values at the last token", [line.question for line in lines])
            if output.dtype is torch.float16:
                share = float(output.abs().max()) / torch.finfo(torch.float16).max
                most, where = max((most, where), (share, name))
    return f"fp16 would overflow at {1 / most:.0f} times the largest output, which is that of {where}" if most else None


@check(
    "GEN-003",
    "Repeated calls give identical logits",
    why="Active dropout, or a cache that is not cleared, changes answers from call to call.",
    remedy="Call model.eval() after loading, and start every generation with an empty cache.",
    depends_on=("GEN-002",),
    source="transformers#34469, peft#3753",
)
def asked_again_it_computes_the_same(context: Context) -> None:
    """The same scripted answers twice."""
    lines = _dictate(context, invent(4, seed=3))
    first, again = run_script(context, lines), run_script(context, lines)
    on_cpu = next(context.answerer.model.parameters()).device.type == "cpu"
    for line in lines:
        if line.question in again.logits:  # else the answer is remembered
            _compare(first, again, line.question, 0.0 if on_cpu else tolerance.rounding(first.dtype))


@check(
    "GEN-004",
    "Attention is causal: later tokens of a prompt do not change earlier hidden states",
    why="The model was trained on what precedes a token. If it also sees what follows, it answers from another state.",
    remedy="Pass a two-dimensional attention mask, and keep the model's own causal mask.",
    depends_on=("GEN-002",),
)
def later_tokens_change_nothing_before_them(context: Context) -> None:
    """Two questions that differ at their end, asked alone: the states of the tokens that they share."""
    questions = ["How many florps are there in 7 quux or zindles?", "How many florps are there in 7 quux or tove?"]
    states, allowed = [], 0.0
    for line in _dictate(context, questions):
        with first_states(context.answerer.model) as found:
            allowed = tolerance.rounding(run_script(context, [line], end_at_once=True).dtype)
        if not found:
            return  # the model was not asked
        states.append(found[0])
    (ids, one), (other_ids, other) = states
    shared = next(i for i, (a, b) in enumerate(zip(ids, other_ids, strict=False)) if a != b)
    if not shared:
        return  # the prompt does not begin alike, as where its beginning is cached
    apart = tolerance.apart(one[:shared], other[:shared])
    if margins.exceeds(apart, allowed):
        raise Failure(
            f"the states of {shared} shared tokens differ by {apart:.1e} of their spread",
            f"at most {allowed:.1e}",
            questions,
        )
    if tolerance.apart(one[shared], other[shared]) <= allowed:
        raise Failure(
            "two different tokens have the same state",
            f"a difference of more than {allowed:.1e} of its spread",
            questions,
        )


@check(
    "GEN-005",
    "The logits of a question do not depend on the other questions in its batch",
    why="If information leaks between rows, an answer depends on the other questions.",
    remedy="Give each question its own prompt, and keep rows separate in mask and cache.",
    depends_on=("GEN-003",),
)
def answers_do_not_depend_on_neighbours(context: Context) -> None:
    """One line among two pairs of neighbours whose prompts are as long, with other numbers and units."""
    questions = [
        "How many florps are there in 7 quux?",
        "How many snarks are there in 3 tove?",
        "Change 5 raths to jubs.",
        "How many snarks are there in 8 tove?",
        "Change 4 raths to jubs.",
    ]
    own, *others = _dictate(context, questions)
    one, other = (run_script(context, [others[i], own, others[i + 1]]) for i in (0, 2))
    _compare(one, other, own.question, tolerance.rounding(one.dtype))


@check(
    "GEN-006",
    "A question has the same logits alone and in a batch, up to rounding",
    why="Positions or masks that ignore padding corrupt the shorter rows.",
    remedy="Pad on the left, pass the attention mask, and count positions from the first real token of each row.",
    depends_on=("GEN-005",),
    source="unsloth#3699; not unsloth#9708, which is rounding",
)
def same_logits_alone_and_in_a_batch(context: Context) -> None:
    """The steps of a long number, so that tokens after the prompt count too."""
    questions = ["2 jubs?", *invent(3, seed=6), f"{'7' * 24} florps in quux?"]
    [answer] = context.task.dictate(1, context.answerer.tokenizer)
    lines = write_answers(context, [(question, answer) for question in questions])
    together = run_script(context, lines)
    for line in lines[:2]:
        alone = run_script(context, [line])
        _compare(alone, together, line.question, tolerance.rounding(together.dtype))


@check(
    "GEN-007",
    "Every answer that the model generates is returned complete",
    why="A small token budget, a repetition penalty or an early stop prevents some answers from being written.",
    remedy="Allow as many new tokens as the longest answer has (for numbers 24),"
    " stop at the end-of-sequence token or the closing tag, and do not change"
    " logits.",
)
def numbers_come_back_whole(context: Context) -> None:
    """Questions asked one at a time."""
    for line in _dictate(context, invent(3, seed=7)):
        _judge(context, [line], run_script(context, [line]))


@check(
    "GEN-008",
    "Each question of a batch gets its own completion, in the order of the questions",
    why="Batches that are sorted, padded or sliced and restored wrongly give questions the answers of others.",
    remedy="Pad on the left, slice prompts off at the padded length, and undo every sorting.",
    depends_on=("GEN-007",),
)
def each_question_gets_its_own_number(context: Context) -> None:
    """Prompts of many lengths in no order, one of them twice; each holds one question of the batch."""
    lines = _dictate(context, invent(_MANY, seed=8))
    lines = [*lines, lines[1]]
    run = run_script(context, lines)
    for prompt in run.prompts:
        asked = {line.question for line in lines if find_question([normalize(line.question)], prompt) is not None}
        if len(asked) > 1:
            raise Failure(f"{len(asked)} questions of the batch in the prompt {prompt!r}", "one", sorted(asked))
    _judge(context, lines, run)


@check(
    "GEN-009",
    "For questions of the data set, the parsed text is the model's own completion",
    why="A completion that is looked up shows nothing of what was trained.",
    remedy="Return what the model generates.",
    depends_on=("GEN-008",),
    source="course submission S5",
)
def texts_for_known_questions_are_the_models(context: Context) -> None:
    """The script has wrong numbers. Where the parser is not reached, `PRS-004` reports it."""
    rows = [*context.train_rows[:4], *context.fresh_rows[:4]]
    lines = write_answers(context, [(question, context.task.wrong(truth)) for question, truth in rows])
    run = run_script(context, lines)
    if run.texts is not None:
        _judge(context, lines, run)


@check(
    "GEN-011",
    "With num_return_sequences=None generation returns a list of texts, with a number a list of lists",
    why="Callers index the result. A flat list for 1, or rows that are sliced wrongly, gives them the texts of other"
    " questions.",
    remedy="Return list[str] for None only, and group the rows by prompt.",
    level=Level.CONTRACT,
    depends_on=("GEN-008",),
    source="course submission S8",
)
def results_have_the_shape_asked_for(context: Context) -> None:
    """None, 1 and 2 sequences; each text is its own question's."""
    lines = _dictate(context, invent(3, seed=11))
    for count in (None, 1, 2):
        texts = _say(context, lines, count)
        case = f"num_return_sequences={count}, {len(lines)} prompts"
        rows = [[text] for text in texts] if count is None else texts
        flat = [text for row in rows if isinstance(row, list) for text in row]
        lengths = [len(row) if isinstance(row, list) else type(row).__name__ for row in rows]
        if lengths != [count or 1] * len(lines) or not all(isinstance(text, str) for text in flat):
            raise Failure(
                f"the result is a {type(texts).__name__} of {len(texts)}: {texts!r}"[:300],
                "a text for each sequence",
                case,
            )
        for line, row in zip(lines, rows, strict=True):
            for text in row:
                if not context.task.heard(text, [line.answer]):
                    raise Failure(f"the text is {text!r}", f"a text with {line.answer}", case)


@check(
    "GEN-012",
    "An empty list of prompts returns an empty list",
    why="A split may be empty, and tokenizers refuse an empty batch.",
    remedy="Return [] before tokenizing.",
    level=Level.CONTRACT,
)
def no_prompts_give_an_empty_list(context: Context) -> None:
    """For None and for a number."""
    for count in (None, 1):
        texts = context.call(context.answerer.batched_generate, [], count)
        if texts != []:
            raise Failure(f"the result is {texts!r}", "[]", f"batched_generate([], {count})")


@check(
    "GEN-013",
    "A completion is the new text up to the end, without prompt or special tokens",
    why="The parser has to guess what to ignore of any other text in the completion.",
    remedy="Slice off the prompt, stop at the end-of-sequence token, and decode with skip_special_tokens=True.",
    level=Level.CONTRACT,
    depends_on=("GEN-011",),
)
def completions_are_new_text_only(context: Context) -> None:
    """Rows of unlike lengths, whose ends come at unlike steps."""
    lines = _dictate(context, invent(4, seed=13))
    for line, text in zip(lines, _say(context, lines, None), strict=True):
        if text != line.text:
            raise Failure(f"the completion is {text!r}", repr(line.text), line.question)


def _judge(context: Context, lines: Sequence[AnswerScript], run: ScriptedOutcome) -> None:
    """Compares what reached the parser, or else what `answer` returned, with the scripted numbers."""
    all_said = [line.answer for line in lines]
    questions = [line.question for line in lines]
    for number, line in enumerate(lines):
        if run.texts is not None:
            if context.task.heard(run.texts[number], all_said) != {line.answer}:
                raise Failure(f"text {number} is {run.texts[number]!r}", f"a text with {line.answer}", questions)
        else:
            with record_parser(context.answerer):
                due = context.answerer.parse_answer(line.text)
            if context.task.is_exactly(due, line.answer) and run.answers[number] != due:  # else it may be the parser's
                raise Failure(f"answer {number} is {run.answers[number]}", due, questions)


def _dictate(context: Context, questions: Sequence[str]) -> list[AnswerScript]:
    answers = context.task.dictate(len(questions), context.answerer.tokenizer)
    return write_answers(context, [*zip(questions, answers, strict=True)])


def _say(context: Context, lines: Sequence[AnswerScript], count: int | None) -> list[Any]:
    answerer = context.answerer
    prompts = [answerer.format_prompt(line.question) for line in lines]
    scripts = [line.script for line in lines]
    with scripted_model(answerer.model, answerer.tokenizer, scripts, keep_nan=True):
        return context.call(answerer.batched_generate, prompts, count, 0.7 if count else 0)


def _compare(one: ScriptedOutcome, other: ScriptedOutcome, question: str, allowed: float) -> None:
    a, b = one.logits_of(question), other.logits_of(question)
    steps = min(len(a), len(b))
    a, b = a[:steps], b[:steps]
    if margins.exceeds(tolerance.apart(a, b), allowed):
        first = int((tolerance.apart_by_row(a, b) > allowed).int().argmax())
        seen = f"logits differ by {tolerance.apart(a, b):.1e} of their spread, from new token {first} on"
        raise Failure(seen, f"at most {allowed:.1e}", question)
