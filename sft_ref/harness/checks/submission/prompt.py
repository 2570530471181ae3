"""Checks of the prompt: asked as training wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments.answering import TELLING, complete, is_better, read_number, right
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.losses import compare, is_worse
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.prompts import compare_prompts, gap_of
from sft_ref.harness.recorders.submission.scripted_results import is_template_parsed_wrongly

_SURVIVING = 0.8
"""Share of the answers to the training prompts that must be left with those that are sent, for nothing to be lost."""


@check(
    "PRM-101",
    "The model answers the sent prompts as well as the prompts of its training texts",
    why="A model answers after the text it was trained on; a different text before the answer asks for something else.",
    remedy="Send the training text up to the answer: the same template, tags, spaces and special tokens.",
    source="S2, T1, T5, M6",
    core=True,
)
def prompts_are_answered_as_those_of_training(evidence: Evidence) -> None:
    """PRM-101: where the prompts differ from the training texts. Answers decide it, or else losses of true answers."""
    if evidence.is_good:
        return
    if evidence.is_question_lost:
        prompt = evidence.asked["answers"]["generations"][0]["prompt_ids"]
        seen = f"{decode(evidence.tokenizer, prompt)!r}, and no prompt that holds its question"
        raise Failure(seen, "the question in the prompt", evidence.questions[0][0])
    astray, gap = _astray(evidence), gap_of(evidence)
    if not astray and not gap:
        return
    if gap:
        _raise_for_template(evidence, gap)
    case = "sent {!r}, trained {!r}".format(*astray[0]) if astray else f"{gap!r} is left out"
    if _compare_answers(evidence, case):
        return
    models = _models(evidence)
    if not models:
        raise Unavailable("there is no model of its convention to ask")
    for model in models:
        _compare_losses(evidence, model, case)


def _raise_for_template(evidence: Evidence, gap: str) -> None:
    """A prompt that ends within the training text's template, where the answer is lost to what is left out."""
    if str(evidence.tokenizer.eos_token) in gap:
        seen = f"prompts that end before {gap!r}"
        raise Failure(seen, "prompts that hold it", "the model writes the end of the turn, and stops")
    if is_template_parsed_wrongly(evidence):
        seen = f"prompts that end before {gap!r}: the model writes it, and the parser finds no number behind it"
        raise Failure(seen, "prompts that hold it")


def _models(evidence: Evidence) -> list[Any]:
    """Models that know the prompts of training, if little else."""
    own = evidence.trained_model if evidence.trained_model is not None and evidence.has_moved else None
    return [model for model in (own, evidence.ours) if model is not None]


def _compare_answers(evidence: Evidence, case: str) -> bool:
    """Whether answers tell that nothing is lost; False where they tell nothing.

    Raises:
        Failure: they decide against them.
    """
    model = evidence.sound_model
    prompts = [prompt for prompt in evidence.prompts(evidence.asked, evidence.questions) if prompt]
    if model is None or len(prompts) < len(evidence.questions):
        return False
    own = _rightly_continued(evidence, model, prompts)
    best = right(evidence.our_answers(model), evidence.questions)
    if is_better(best, own):
        seen = f"{sum(own)} of {len(own)} right with the prompts that it sends, {sum(best)} with those of training"
        raise Failure(seen, "as many", case)
    return sum(best) >= TELLING * len(best) and sum(own) >= _SURVIVING * sum(best)


def _compare_losses(evidence: Evidence, model: Any, case: str) -> None:  # noqa: ANN401
    """Compares the true answer's loss behind the prompts that are sent with that behind those of training.

    Raises:
        Failure: it is higher.
    """
    sent, due = compare_prompts(evidence, model)
    if is_worse(sent, due):
        seen = f"the true answer costs {sent.mean():.3f} nat a token behind the prompts that are sent"
        raise Failure(f"{seen}, {compare(sent, due)}", f"{due.mean():.3f}, as behind those of training", case)


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
    "The prompt that reaches the model is a prefix of the training text",
    level=Level.CONTRACT,
    why="Even if answers survive, the model is asked something else than it was trained on.",
    remedy="Build prompt and training text with one function.",
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
