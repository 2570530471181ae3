"""Checks of the prompt: asked as training wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sft_ref.harness.check import Check, Level, check
from sft_ref.harness.findings import Failure, Unavailable
from sft_ref.harness.submission.answering import complete, is_better, read_number, right
from sft_ref.harness.submission.convention import (
    decode,
)
from sft_ref.harness.submission.evidence import Evidence


@check(
    "PRM-101",
    "asked with the prompts that reach it, the model answers as well as with those that training wrote",
    why="A model answers what it was trained on; another text before the answer asks for something else.",
    remedy="Send the text of training up to the answer: the same template, tags, spaces and special tokens.",
    source="S2, T1, T5, M6",
)
def prompts_are_answered_as_those_of_training(evidence: Evidence) -> None:
    """PRM-101: both answered by ours, where the prompts differ from the training texts, and answers are lost."""
    astray = _astray(evidence)
    if not astray or evidence.is_good:
        return
    model = evidence.sound_model
    prompts = evidence.prompts(evidence.asked, evidence.questions)
    if model is None or any(prompt is None for prompt in prompts):
        raise Unavailable("there is no sound model of its convention to ask")
    own = _rightly_continued(evidence, model, [prompt for prompt in prompts if prompt])
    best = right(evidence.our_answers(model), evidence.questions)
    if is_better(best, own):
        sent, due = astray[0]
        raise Failure(
            f"{sum(own)} of {len(own)} right with the prompts that it sends, {sum(best)} with those of training",
            "as many",
            f"sent {sent!r}, trained {due!r}",
        )


def _rightly_continued(evidence: Evidence, model: Any, prompts: Sequence[Sequence[int]]) -> list[bool]:  # noqa: ANN401
    """Which prompts are answered rightly, and up to the number as training goes on from them, tags included."""
    convention = evidence.convention
    if convention is None:
        raise Unavailable("how it writes an answer is not known")
    texts = complete(model, evidence.tokenizer, prompts)
    answered = right([read_number(text, convention) for text in texts], evidence.questions)
    led = []
    for (question, _), prompt, text in zip(evidence.questions, prompts, texts, strict=True):
        lead, sent = convention.lead(question), decode(evidence.tokenizer, prompt)
        if lead.startswith(sent):
            led.append(text.strip().startswith(lead[len(sent) :].strip()))
        else:  # another text: what training wrote last before the number has to come
            led.append(all(word in text for word in evidence.supervised_lead.split()[-1:]))
    return [one and other for one, other in zip(answered, led, strict=True)]


@check(
    "PRM-102",
    "what reaches the model is where the training text leaves off",
    level=Level.CONTRACT,
    why="Even where answers survive it, the model is asked for something else than it was taught.",
    remedy="Build prompt and training text by the same function.",
)
def prompts_are_where_training_leaves_off(evidence: Evidence) -> None:
    """PRM-102: exact, in ids."""
    astray = _astray(evidence)
    if astray:
        sent, due = astray[0]
        raise Failure(f"{sent!r}", f"a beginning of {due!r}", f"{len(astray)} of {len(evidence.known_rows)} prompts")


def _astray(evidence: Evidence) -> list[tuple[str, str]]:
    """Prompts of trained questions that are no beginning of their training texts up to the answer, with these.

    None where only a few are: training texts may be varied on purpose.
    """
    astray, seen = [], 0
    prompts = evidence.prompts(evidence.asked, evidence.known_rows)
    for text, prompt in zip(evidence.texts, prompts, strict=False):
        if prompt is None or not text.is_answered:
            continue
        seen += 1
        begin = text.taught.begin or 0
        ids = text.taught.ids
        early = len(prompt) < begin and not evidence.is_partial(text, len(prompt))
        if ids[: len(prompt)] != prompt or len(prompt) > text.begin or early:
            astray.append((decode(evidence.tokenizer, prompt), decode(evidence.tokenizer, ids)))
    if not seen:
        raise Unavailable("no prompt could be held against its training text")
    return astray if len(astray) > seen / 2 else []


CHECKS: tuple[Check, ...] = (
    prompts_are_answered_as_those_of_training,
    prompts_are_where_training_leaves_off,
)
