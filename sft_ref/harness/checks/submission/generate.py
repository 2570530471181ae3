"""Checks of generate: with a script in the model's mouth, what comes of each number; and what it says unscripted."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.paired import TELLING, is_better, is_worse
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.submission.scripted_results import (
    completed_scripts,
    fault_of_generation,
    fault_past_the_parser,
    raise_for_crash,
)
from sft_ref.harness.instruments.answering import right

_TOUCHED = 0.01
"""Share of the data's answers from which on a number that cannot be written is more than an edge."""

_UNLIKELY, _UNLIKELY_ROWS = 2.0, 0.2
"""Nat below the likeliest token, far beyond rounding, and the share of generations that may begin so."""


@check(
    "GEN-101",
    "Every number that the model generates is returned complete, for its own question",
    why="A small token budget, a repetition penalty, wrong slices or another order lose numbers that the model knows.",
    remedy="Allow 32 new tokens, do not change logits, pad on the left, slice at the padded length, and keep the"
    " order.",
    source="S8",
    core=True,
)
def numbers_come_back(evidence: Evidence) -> None:
    """GEN-101: invented units, whose answers stand nowhere; what reaches the parser counts, not what it makes of it."""
    if evidence.prompts.any_lost is not None:
        raise Blocked("no prompt holds its question: PRM-101 says so")
    for run in [*completed_scripts(evidence, "together"), *completed_scripts(evidence, "alone")]:
        raise_for_crash(run.answers, parser=False)
        for place, line in enumerate(run.lines):
            fault = fault_of_generation(evidence, run, place)
            if fault:
                if fault.startswith("cut") and _share(evidence, len(line.numeral)) < _TOUCHED:
                    continue
                case = f"{line.question!r} among {len(run.lines)} questions"
                raise Failure(fault, f"a text with {line.numeral}", case)


@check(
    "GEN-102",
    "Answers to questions of the data set come from the model",
    why="A number that is looked up or computed elsewhere shows nothing of what was trained.",
    remedy="Return what the model generates.",
    depends_on=("GEN-101",),
    source="S5",
)
def answers_are_the_models(evidence: Evidence) -> None:
    """GEN-102: scripts of wrong numbers, for questions of its data and for others."""
    for kind in ("known", "together"):
        for run in completed_scripts(evidence, kind):
            raise_for_crash(run.answers, parser=False)
            for place, line in enumerate(run.lines):
                fault = fault_of_generation(evidence, run, place) or fault_past_the_parser(run, place)
                if fault and not fault.startswith("cut"):
                    raise Failure(fault, f"{line.numeral}, as the model says", line.question)


@check(
    "GEN-103",
    "Answering completes",
    why="Code that crashes answers nothing.",
    remedy="Fix the line that the traceback names.",
)
def answering_runs(evidence: Evidence) -> None:
    """GEN-103: fresh questions, in one call, as a benchmark asks them."""
    loaded, answers = evidence.loaded, evidence.generations.answers
    if not loaded.was_reached or loaded.crash:
        raise Blocked("nothing was loaded")
    raise_for_crash(answers, parser=False)
    if answers is None or not evidence.scores.was_reached:
        raise Failure(f"answering {loaded.process.ended_early}", "answers", loaded.process.output)
    values = answers.values or ()
    if len(values) != evidence.generations.asked and not answers.crash:
        raise Failure(f"{len(values)} answers", f"{evidence.generations.asked}, one a question")


@check(
    "GEN-104",
    "Questions are answered as well in a batch as alone",
    why="Padding that is attended to, or on the wrong side, corrupts the shorter rows of a batch.",
    remedy="Pad on the left, and pass the attention mask.",
    depends_on=("GEN-103",),
    source="G1",
)
def batches_are_answered_as_well(evidence: Evidence) -> None:
    """GEN-104: the first fresh questions once more, one at a time."""
    answers, alone = evidence.generations.answers, completed_scripts(evidence, "unscripted")
    if not alone or answers is None or answers.values is None:
        raise Unavailable("nothing was asked alone")
    rows = evidence.generations.questions[: len(alone)]
    single = right([next(iter(run.answers.values or ()), math.nan) for run in alone], rows)
    if not any(single):
        raise Unavailable("none of them is answered rightly alone; GEN-107 compares the generated tokens instead")
    together = right(answers.values, rows)
    lost = [question for (question, _), a, b in zip(rows, single, together, strict=True) if a and not b]
    if len(lost) >= 3 and not any(b and not a for a, b in zip(single, together, strict=True)):  # noqa: PLR2004
        seen = f"{len(lost)} of {len(rows)} right alone, and wrong among {evidence.generations.asked}"
        raise Failure(seen, "none", lost[0])


@check(
    "GEN-105",
    "Only the model's logits choose the tokens",
    why="Sampling, or a penalty, changes answers that the model knows.",
    remedy="Pass do_sample=False and no penalty, and override those of the base's generation_config.",
    depends_on=("GEN-103",),
)
def tokens_are_the_likeliest(evidence: Evidence) -> None:
    """GEN-105: tokens that were not the likeliest. Answers tell what is lost; where there are none, their losses."""
    chosen = evidence.chosen_tokens
    off, count = chosen.unlikely, chosen.count
    if not off or evidence.answers_survive:  # the answers are those of these tokens
        return
    swap = evidence.experiments.generation
    if swap is None:
        raise Unavailable(evidence.generations.not_compared)
    if is_better(swap.reference, swap.own) and is_better(swap.reference, swap.written):
        right_ = f"{sum(swap.own)} answers right, {sum(swap.reference)} with greedy decoding by the reference"
        raise Failure(f"{off} of {count} tokens were not the likeliest; {right_}", "none")
    if max(sum(swap.reference), sum(swap.own)) < TELLING * len(swap.own) and chosen.are_sampled:
        lost = torch.tensor([mean for _, mean in evidence.generations.shortfalls], dtype=torch.double)
        if len(lost) and is_worse(lost, torch.zeros_like(lost)):
            seen = f"{off} of {count} tokens were not the likeliest, {lost.mean():.2f} nat a token below these"
            raise Failure(seen, "none")


@check(
    "GEN-107",
    "Generated tokens are likely for the same model when it is prompted alone",
    why="Padding that is attended to, wrong positions or a wrong cache, or another adapter than the loaded one,"
    " changes what is generated.",
    remedy="Pad on the left, pass the attention mask, and generate with the model that was loaded.",
    depends_on=("GEN-103", "LOD-003", "LOD-105", "LOD-108"),
    source="G1",
)
def what_is_said_is_likely(evidence: Evidence) -> None:
    """GEN-107: the first tokens of answers to fresh questions, under the model that the reference loads."""
    chosen = evidence.chosen_tokens
    if chosen.are_sampled:
        raise Blocked(f"{chosen.unlikely} of {chosen.count} tokens were not its own likeliest: GEN-010 says so")
    if evidence.generations.not_compared:
        raise Unavailable(evidence.generations.not_compared)
    worst = [most for most, _ in evidence.generations.shortfalls]
    if not worst:
        raise Unavailable("no generation was observed from its beginning")
    unlikely = sum(each > _UNLIKELY for each in worst)
    if unlikely > _UNLIKELY_ROWS * len(worst):
        seen = f"in {unlikely} of {len(worst)} generations a token is up to {max(worst):.1f} nat below"
        expected = f"{_UNLIKELY} nat in {_UNLIKELY_ROWS:.0%} of them"
        raise Failure(f"{seen} the likeliest", expected, survivable=True)


def _share(evidence: Evidence, length: int) -> float:
    """Share of the data's answers that are written as long."""
    written = [text.numeral for text in evidence.examples.texts if text.is_answered]
    return sum(len(numeral) >= length for numeral in written) / max(1, len(written))
