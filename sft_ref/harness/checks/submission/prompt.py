"""Checks of the stage prompt: whether prompts match the training texts."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import are_conclusive, compare, is_better, is_worse
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.experiments import PairedLosses
from sft_ref.harness.evidence.submission.scripted_results import is_template_parsed_wrongly
from sft_ref.harness.evidence.submission.wording import mismatched_prompts, omitted_template


@check(
    "PRM-101",
    "The model answers the sent prompts as well as the prompts of its training texts",
    why="A model answers after the text it was trained on; a different text before the answer asks for something else.",
    remedy="Send the training text up to the answer: the same template, tags, spaces and special tokens.",
    source="S2, T1, T5, M6",
    core=True,
)
def prompts_are_answered_as_those_of_training(evidence: Evidence) -> None:
    """PRM-101: Applies if prompts differ from the training texts; answers decide, or else losses of true answers."""
    prompts, swap = evidence.prompts, evidence.experiments.prompts
    _require_prompts(evidence)
    if prompts.any_lost is not None:
        seen = f"the model gets {prompts.any_lost.text!r}, and no prompt with its question"
        asked = zip(evidence.generations.questions, prompts.fresh, strict=False)
        example = next((question for (question, _), prompt in asked if prompt is None), "")
        raise Failure(seen, "the question in the prompt", example, survivable=True)
    if evidence.answers_survive:  # the answers were given to these prompts
        return
    mismatched, gap = mismatched_prompts(prompts, evidence.examples), omitted_template(prompts, evidence.examples)
    if not mismatched and not gap:
        return
    if gap:
        _raise_for_template(evidence, gap)
    if swap is None:
        raise Unavailable("the prompts were not compared")
    case = "sent {!r}, trained {!r}".format(*mismatched[0]) if mismatched else f"{gap!r} is left out"
    if swap.sent and swap.trained and is_better(swap.trained, swap.sent):
        right, best = sum(swap.sent), sum(swap.trained)
        seen = f"{right} of {len(swap.sent)} answers are right with the sent prompts, and {best} with those of training"
        raise Failure(seen, "as many right answers", case)
    if swap.sent and swap.trained and are_conclusive(swap.sent, swap.trained):
        return
    if swap.not_compared:
        raise Unavailable(swap.not_compared)
    for losses in swap.losses:
        _compare_losses(losses, case)


def _require_prompts(evidence: Evidence) -> None:
    own = evidence.generations.own
    if own is None or not own.generations:
        raise Unavailable("no prompt was observed")


def _raise_for_template(evidence: Evidence, gap: str) -> None:
    """Raises `Failure` if prompts end within the training text's template, and the omitted part loses the answer."""
    if evidence.examples.tokenizer.eos_token in gap:
        seen = f"prompts end before {gap!r}, so that the model writes the end of the turn, and stops"
        raise Failure(seen, "prompts with it")
    if is_template_parsed_wrongly(evidence):
        seen = f"prompts end before {gap!r}, so that the model writes it, and the parser finds no number after it"
        raise Failure(seen, "prompts with it")


def _compare_losses(losses: PairedLosses, case: str) -> None:
    """Compares the loss of the true answer after the sent prompts with that after the prompts of training.

    Raises:
        Failure: the loss is higher after the sent prompts.
    """
    if is_worse(losses.observed, losses.expected):
        seen = (
            f"the loss of the true answer is {losses.observed.mean():.3f} nat a token after the prompts that are sent"
        )
        expected = f"{losses.expected.mean():.3f}, as after those of training"
        raise Failure(f"{seen}, {compare(losses.observed, losses.expected)}", expected, case)


@check(
    "PRM-102",
    "The prompt that reaches the model is a prefix of the training text",
    level=Level.CONTRACT,
    why="Even if answers survive, the model gets prompts that differ from those it was trained on.",
    remedy="Build prompt and training text with one function.",
)
def prompts_are_where_training_leaves_off(evidence: Evidence) -> None:
    """PRM-102: Compares token ids exactly."""
    mismatched = mismatched_prompts(evidence.prompts, evidence.examples)
    if mismatched:
        sent, trained = mismatched[0]
        case = f"{len(mismatched)} of {len(evidence.prompts.trained)} prompts"
        raise Failure(f"the prompt is {sent!r}", f"a beginning of {trained!r}", case)
