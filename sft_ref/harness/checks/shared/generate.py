"""Shared checks of generation."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.views import ChosenTokens


@check(
    "GEN-010",
    "At temperature 0, every generated token has the highest logit",
    level=Level.CONTRACT,
    why="Sampling, or a penalty that is left on, changes answers that the model knows, and cannot be reproduced.",
    remedy="Pass do_sample=False and no penalty, and override those of the base's generation_config.",
    depends_on=("GEN-006", "GEN-105"),
    aliases=("GEN-106",),
)
def generation_is_greedy(chosen_tokens: ChosenTokens) -> None:
    """GEN-010: a few near ties aside, where logits were computed again."""
    if chosen_tokens.are_sampled:
        seen = f"{chosen_tokens.unlikely} of {chosen_tokens.count} tokens do not have the highest logit"
        raise Failure(seen, "none", chosen_tokens.example)
