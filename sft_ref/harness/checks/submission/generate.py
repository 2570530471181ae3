"""Checks of the stage generate: the results of scripted and of unscripted generation."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core import margins
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.paired import TELLING, is_better, is_worse
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.submission.scripted_results import (
    completed_scripts,
)
from sft_ref.harness.instruments.answering import right

_CACHE_GAP, _CACHE_GAP_16 = 5e-4, 0.05
"""In nat, root mean square: in fp32, and if a part of the model computes in 16 bits. Measured on the toy: up to 4e-7
and 4e-4; 2e-3 in fp32 if some padding is attended to, 2.9 if it is counted in the positions after the prompt."""
_UNLIKELY, _UNLIKELY_ROWS = 2.0, 0.2
"""Distance in nat from the likeliest token, far beyond rounding, and the fraction of generations that may exceed it."""


@check(
    "GEN-104",
    "Questions are answered as well in a batch as alone",
    why="Padding that is attended to, or on the wrong side, corrupts the shorter rows of a batch.",
    remedy="Pad on the left, and pass the attention mask.",
    depends_on=("GEN-016",),
    source="G1",
)
def batches_are_answered_as_well(evidence: Evidence) -> None:
    """GEN-104: Asks the first fresh questions again, one at a time."""
    answers, alone = evidence.generations.answers, completed_scripts(evidence, "unscripted")
    if not alone or answers is None or answers.values is None:
        raise Unavailable("no question was asked alone")
    rows = evidence.generations.questions[: len(alone)]
    single = right([next(iter(run.answers.values or ()), math.nan) for run in alone], rows)
    if not any(single):
        raise Unavailable("none of them is answered rightly alone; GEN-107 compares the generated tokens instead")
    together = right(answers.values, rows)
    lost = [question for (question, _), a, b in zip(rows, single, together, strict=True) if a and not b]
    if len(lost) >= 3 and not any(b and not a for a, b in zip(single, together, strict=True)):  # noqa: PLR2004
        seen = (
            f"{len(lost)} of {len(rows)} answers are right alone, and wrong among"
            f" {evidence.generations.asked} asked together"
        )
        raise Failure(seen, "none", lost[0])


@check(
    "GEN-105",
    "Only the model's logits choose the tokens",
    why="Sampling, or a penalty, changes answers that the model knows.",
    remedy="Pass do_sample=False and no penalty, and override those of the base's generation_config.",
    depends_on=("GEN-016",),
)
def tokens_are_the_likeliest(evidence: Evidence) -> None:
    """GEN-105: Counts tokens that were not the likeliest.

    Answers show whether anything is lost; if hardly any is right, the losses of these tokens decide.
    """
    chosen = evidence.chosen_tokens
    off, count = chosen.unlikely, chosen.count
    if not off or evidence.answers_survive:  # the answers consist of these tokens
        return
    swap = evidence.experiments.generation
    if swap is None:
        raise Unavailable(evidence.generations.not_compared)
    if is_better(swap.reference, swap.own) and is_better(swap.reference, swap.written):
        right_ = f"{sum(swap.own)} answers right, {sum(swap.reference)} with greedy decoding by the reference"
        raise Failure(f"{off} of {count} tokens are not the likeliest; {right_}", "none")
    if max(sum(swap.reference), sum(swap.own)) < TELLING * len(swap.own) and chosen.are_sampled:
        lost = torch.tensor([mean for _, mean in evidence.generations.shortfalls], dtype=torch.double)
        if len(lost) and is_worse(lost, torch.zeros_like(lost)):
            seen = f"{off} of {count} tokens are not the likeliest, but {lost.mean():.2f} nat less likely on average"
            raise Failure(seen, "none")


@check(
    "GEN-107",
    "Generated tokens are likely for the same model when it is prompted alone",
    why="Padding that is attended to, wrong positions or a wrong cache, or an adapter other than the loaded one,"
    " changes what is generated.",
    remedy="Pad on the left, pass the attention mask, and generate with the model that was loaded.",
    depends_on=("GEN-016", "LOD-003", "LOD-105", "LOD-108"),
    source="G1",
)
def generated_tokens_are_likely(evidence: Evidence) -> None:
    """GEN-107: Scores the first tokens of answers to fresh questions with the model that the reference loads."""
    chosen = evidence.chosen_tokens
    if chosen.are_sampled:
        raise Blocked(f"{chosen.unlikely} of {chosen.count} tokens are not its own likeliest, as GEN-010 reports")
    if evidence.generations.not_compared:
        raise Unavailable(evidence.generations.not_compared)
    worst = [most for most, _ in evidence.generations.shortfalls]
    if not worst:
        raise Unavailable("no generation was observed from its beginning")
    unlikely = sum(each > _UNLIKELY for each in worst)
    if unlikely > _UNLIKELY_ROWS * len(worst):
        below = f"{max(worst):.1f} nat below the likeliest"
        expected = f"more than {_UNLIKELY} nat in at most {_UNLIKELY_ROWS:.0%} of them"
        raise Failure(f"in {unlikely} of {len(worst)} generations a token is up to {below}", expected, survivable=True)


@check(
    "GEN-108",
    "The log probabilities of generated tokens are those of one forward pass without padding or cache",
    why="Padding that is attended to, positions that do not follow one another, or a cache that loses keys, changes"
    " what the model computes.",
    remedy="Pad on the left, pass the attention mask, and let generate() count positions and keep the cache.",
    depends_on=("GEN-016", "LOD-105", "LOD-108"),
    source="G1",
)
def cache_changes_nothing(evidence: Evidence) -> None:
    """GEN-108: Compares the model with itself, in the process that generates."""
    gaps = evidence.generations.cache_gaps
    if not gaps:
        raise Unavailable("no generation was observed from its beginning, or its rows could not be told apart")
    mean = math.hypot(*gaps) / math.sqrt(len(gaps))
    is_fp32 = evidence.loaded.dtypes == {"torch.float32"} and evidence.generations.autocast is None
    limit = _CACHE_GAP if is_fp32 else _CACHE_GAP_16
    if margins.exceeds(mean, limit):
        seen = f"log probabilities differ by {mean:.2g} nat, root mean square over {len(gaps)} generations"
        raise Failure(seen, f"at most {limit}", survivable=True)
