"""Checks of the stage prompt: whether prompts have the wording of training."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import compare, has_fallen, is_better
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.answers import RETURNED, SHOWN, STRIPPED, TEMPLATE, AnswerHeader, AnswersEvidence, Trial

from .rows import ENOUGH_ROWS, FEWEST_ROWS, require_rows, require_trial


@check(
    "PRM-201",
    "The adapter answers the given prompt as well as the chat template's",
    why="A model answers after the text it was trained on; a different text asks for something else.",
    remedy="Send the training text up to the answer: the same template, header and spaces.",
    core=True,
)
def prompt_is_that_of_training(evidence: AdapterEvidence) -> None:
    """PRM-201: Compares the same rows in other prompt wordings, with the scaling of the best trial."""
    found = require_rows(evidence)
    best = found.best
    given = require_trial(found, found.given, best.factor)
    others = [each for each in found.trials if each.wording != found.given and each.factor == best.factor]
    others = [each for each in others if each.answers]
    better = [each for each in others if is_better(each.right, given.right)]
    if better:
        raise _wrong_prompt(found, given, max(better, key=lambda each: sum(each.right)))
    right, rows = sum(given.right), len(given.right)
    if right >= SHOWN * rows and rows >= ENOUGH_ROWS:
        return
    if right >= SHOWN * rows:
        raise Unavailable(f"{given.count} answers are right; at least {ENOUGH_ROWS} rows are needed to rule out chance")
    compared = any(each.wording not in {found.given, STRIPPED} for each in others)
    if compared and right >= RETURNED * rows and rows >= FEWEST_ROWS:
        return
    if found.is_template and found.given != TEMPLATE and _helps(found, given):
        return
    raise Unavailable(_why_prompt_is_open(found, given, others))


def _helps(found: AnswersEvidence, trial: Trial) -> bool:
    return has_fallen(compare(found.base_losses[trial.wording], trial.losses))


def _wrong_prompt(found: AnswersEvidence, given: Trial, other: Trial) -> Failure:
    header = found.header if other.wording == TEMPLATE else None
    part = header.part if header else "the prompt ends with a space, which belongs to the answer"
    missing = f": it leaves out {header.missing!r}, which the model then writes" if header and header.begun else ""
    return Failure(
        f"{given.count} answers are right with {given.wording}, and {other.count} with {other.wording}{missing}",
        "as many right answers",
        f"{part}; wrote {given.answers[0].text!r}",
    )


def _why_prompt_is_open(found: AnswersEvidence, given: Trial, others: list[Trial]) -> str:
    counts = ", ".join(f"{each.count} with {each.wording}" for each in others)
    if found.given == TEMPLATE:
        return f"no --prompt was given, and {given.count} answers are right with the chat template's"
    if not counts:
        return f"{given.count} answers are right with it, and there is no chat template to compare with"
    return f"{given.count} answers are right with it and {counts}, too similar to tell which prompt is that of training"


@check(
    "PRM-202",
    "The answer does not begin with a part of the chat template that the prompt leaves out",
    why="Without the assistant's header in the prompt, the model generates the header, and it is read as part of the"
    " answer.",
    remedy="End the prompt with the assistant's header: apply_chat_template(..., add_generation_prompt=True).",
)
def header_is_not_left_to_the_model(evidence: AdapterEvidence) -> None:
    """PRM-202: Needs no rows."""
    header = None if evidence.answers is None else evidence.answers.header
    if header is None:
        raise Unavailable("no --prompt was given, or there is no chat template to compare it with")
    if header.begun > header.asked / 2:
        raise _left_out(header)


def _left_out(header: AnswerHeader) -> Failure:
    return Failure(
        f"{header.begun} of {header.asked} answers begin with {header.missing!r}, which the chat template puts before"
        " an answer and the prompt leaves out",
        "texts that begin with the answer",
        f"{header.part}; wrote {header.example!r}",
    )
