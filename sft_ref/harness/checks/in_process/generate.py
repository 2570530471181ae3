"""Checks of the stage generate: from prompts to completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.answer_parts import (
    AskedTwice,
    BatchComparison,
    BatchOutputs,
    ReturnedTexts,
    SampledTokens,
    ScriptedOutcome,
    SharedPrefix,
)
from sft_ref.harness.evidence.in_process.task import Task

_SAMPLED = 6.0
"""Standard deviations that a share may differ from a probability: by chance, once in 500 million samples."""
_DIFFERENT = 0.5
"""Fraction of samples that must differ. Above a temperature of 1, two long samples are equal once in millions."""


@check(
    "GEN-001",
    "The whole question reaches the model",
    why="A truncated prompt asks a question that differs from the training texts; the longest questions are"
    " truncated first.",
    remedy="Pass no truncation to the tokenizer at inference, or a limit above the longest prompt.",
    depends_on=("GEN-016",),
)
def the_whole_question_reaches_the_model(longest_questions: ScriptedOutcome) -> None:
    """GEN-001: Asks the longest questions in the data; a prompt that is a prefix of its training text passes, too."""
    longest_questions.require_all_asked()


@check(
    "GEN-002",
    "Every activation at the last token is finite, for any padding and batches of 1 to 8",
    why="One infinity makes all logits of its row NaN; the answer of that row is then NaN or empty.",
    remedy="Compute in bfloat16 or float32, and let no row of an attention mask be fully masked.",
    depends_on=("GEN-001",),
    source="transformers#27179, transformers#39972, unsloth#9848, transformers#17306",
)
def everything_that_feeds_a_logit_is_finite(batch_outputs: Sequence[BatchOutputs]) -> str | None:
    """GEN-002: Asks a question with a number of 29 digits among shorter ones; no two batches have the same padding."""
    most, where = 0.0, ""
    for batch in batch_outputs:
        for each in batch.outputs:
            if each.not_finite:
                rows = f"{each.not_finite} of {each.rows} rows"
                seen = f"the {each.dtype} output of {each.module} has NaN or infinity in {rows}"
                raise Failure(seen, "finite values at the last token", batch.questions)
            if each.dtype is torch.float16:
                most, where = max((most, where), (each.largest / torch.finfo(torch.float16).max, each.module))
    return f"fp16 would overflow at {1 / most:.0f} times the largest output, which is that of {where}" if most else None


@check(
    "GEN-003",
    "Repeated calls give identical logits",
    why="Active dropout, or a cache that is not cleared, changes answers from call to call.",
    remedy="Call model.eval() after loading, and start every generation with an empty cache.",
    depends_on=("GEN-002",),
    source="transformers#34469, peft#3753",
)
def asked_again_it_computes_the_same(repeated_answers: AskedTwice) -> None:
    """GEN-003: Runs the same scripted answers twice."""
    first, again = repeated_answers.first, repeated_answers.again
    for question in first.questions:
        if question in again.logits:  # otherwise the answer was cached, without a forward pass
            _compare(first, again, question, 0.0 if repeated_answers.is_on_cpu else tolerance.rounding(first.dtype))


@check(
    "GEN-004",
    "Attention is causal: later tokens of a prompt do not change earlier hidden states",
    why="The model was trained to see only what precedes a token. If it also sees what follows, its states differ.",
    remedy="Pass a two-dimensional attention mask, and keep the model's own causal mask.",
    depends_on=("GEN-002",),
)
def later_tokens_change_nothing_before_them(shared_prefix: SharedPrefix) -> None:
    """GEN-004: Compares the hidden states of the tokens that two prompts share."""
    questions, states, allowed = (
        shared_prefix.questions,
        shared_prefix.states,
        tolerance.rounding(shared_prefix.dtype),
    )
    if len(states) < len(questions):
        return  # the model did not receive both prompts
    (ids, one), (other_ids, other) = states
    shared = next(i for i, (a, b) in enumerate(zip(ids, other_ids, strict=False)) if a != b)
    if not shared:
        return  # the prompts do not share their first token, for example if the beginning is cached
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
def answers_do_not_depend_on_neighbours(batch_neighbours: BatchComparison) -> None:
    """GEN-005: Asks one question with two pairs of neighbours of equal prompt length, with other numbers and units."""
    one, other = batch_neighbours.one, batch_neighbours.other
    _compare(one, other, batch_neighbours.question, tolerance.rounding(one.dtype))


@check(
    "GEN-006",
    "A question has the same logits alone and in a batch, up to rounding",
    why="Positions or masks that ignore padding corrupt the shorter rows.",
    remedy="Pad on the left, pass the attention mask, and count positions from the first real token of each row.",
    depends_on=("GEN-005",),
    source="unsloth#3699; not unsloth#9708, which is rounding",
)
def same_logits_alone_and_in_a_batch(single_and_batched: Sequence[BatchComparison]) -> None:
    """GEN-006: Compares all steps of a long number, so that tokens after the prompt count as well."""
    for each in single_and_batched:
        _compare(each.one, each.other, each.question, tolerance.rounding(each.other.dtype))


@check(
    "GEN-011",
    "With num_return_sequences=None generation returns a list of texts, with a number a list of lists",
    why="Callers index the result. A flat list for 1, or rows that are sliced wrongly, gives them the texts of other"
    " questions.",
    remedy="Return list[str] for None only, and group the rows by prompt.",
    level=Level.CONTRACT,
    depends_on=("GEN-007",),
    source="course submission S8",
)
def results_have_the_shape_asked_for(returned_texts: ReturnedTexts, task: Task) -> None:
    """GEN-011: Requests None, 1 and 2 sequences; each text must answer its own question."""
    lines = returned_texts.lines
    for count, texts in returned_texts.by_count.items():
        case = f"num_return_sequences={count}, {len(lines)} prompts"
        rows = [[text] for text in texts] if count is None else texts
        flat = [text for row in rows if isinstance(row, list) for text in row]
        lengths = [len(row) if isinstance(row, list) else type(row).__name__ for row in rows]
        if lengths != [count or 1] * len(lines) or not all(isinstance(text, str) for text in flat):
            seen = f"the result is a {type(texts).__name__} of {len(texts)}: {texts!r}"[:300]
            raise Failure(seen, "a text for each sequence", case)
        for line, row in zip(lines, rows, strict=True):
            for text in row:
                if not task.answers_in(text, [line.answer]):
                    raise Failure(f"the text is {text!r}", f"a text with {line.answer}", case)


@check(
    "GEN-017",
    "Tokens are sampled at the temperature that is requested, for each sequence anew",
    why="Sampling at another temperature gives answers that are all alike, or that are worse than they have to be.",
    remedy="Pass the temperature on to generate, with do_sample=True.",
    level=Level.CONTRACT,
    depends_on=("GEN-011",),
)
def tokens_are_sampled_at_the_temperature(sampled_tokens: Sequence[SampledTokens]) -> None:
    """GEN-017: Gives two tokens a chance, and compares their shares with their probabilities."""
    for each in sampled_tokens:
        if abs(each.seen - each.due) > _SAMPLED * (each.due * (1 - each.due) / each.count) ** 0.5 + 1 / each.count:
            seen = f"at temperature {each.temperature} a token with a probability of {each.due:.1%} has a share of"
            raise Failure(f"{seen} {each.seen:.1%}", f"about {each.due:.1%}", f"{each.count} sampled tokens")
        if each.temperature > 1 and each.different < _DIFFERENT:
            seen = f"{1 - each.different:.0%} of the samples at temperature {each.temperature} are copies"
            raise Failure(seen, "hardly any", f"{each.count} sampled tokens")


@check(
    "GEN-012",
    "An empty list of prompts returns an empty list",
    why="A split may be empty, and tokenizers refuse an empty batch.",
    remedy="Return [] before tokenizing.",
    level=Level.CONTRACT,
)
def no_prompts_give_an_empty_list(empty_batch_outputs: Mapping[int | None, Any]) -> None:
    """GEN-012: Tests num_return_sequences=None and a number."""
    for count, texts in empty_batch_outputs.items():
        if texts != []:
            raise Failure(f"the result is {texts!r}", "[]", f"batched_generate([], {count})")


@check(
    "GEN-013",
    "A completion is the new text up to the end, without prompt or special tokens",
    why="If a completion contains other text, the parser has to guess what to ignore.",
    remedy="Slice off the prompt, stop at the end-of-sequence token, and decode with skip_special_tokens=True.",
    level=Level.CONTRACT,
    depends_on=("GEN-011",),
)
def completions_are_new_text_only(completions: ReturnedTexts) -> None:
    """GEN-013: Uses rows of unequal lengths that end at different steps."""
    for line, text in zip(completions.lines, completions.by_count[None], strict=True):
        if text != line.text:
            raise Failure(f"the completion is {text!r}", repr(line.text), line.question)


def _compare(one: ScriptedOutcome, other: ScriptedOutcome, question: str, allowed: float) -> None:
    a, b = one.logits_of(question), other.logits_of(question)
    steps = min(len(a), len(b))
    a, b = a[:steps], b[:steps]
    if margins.exceeds(tolerance.apart(a, b), allowed):
        first = int((tolerance.apart_by_row(a, b) > allowed).int().argmax())
        seen = f"logits differ by {tolerance.apart(a, b):.1e} of their spread, from new token {first} on"
        raise Failure(seen, f"at most {allowed:.1e}", question)
