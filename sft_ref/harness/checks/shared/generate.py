"""Shared checks of generation."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import ChosenTokens, StopContract


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


@check(
    "GEN-203",
    "Generation stops at the token that ends answers in training",
    why="A model that writes its end where nothing stops goes on until no tokens are left, whatever it has learned.",
    remedy="Add the token that ends answers to eos_token_id of generation_config, or make it eos_token of the"
    " tokenizer.",
)
def end_of_answers_stops_generation(stop_contract: StopContract) -> str | None:
    """GEN-203: by ids, before anything is generated."""
    contract = stop_contract
    if contract.end is None:
        raise Unavailable("the chat template writes no special token behind an answer, and trainers differ in theirs")
    stops = " and ".join(repr(contract.texts.get(each, f"id {each}")) for each in contract.configured) or "no token"
    end = contract.texts.get(contract.end, f"id {contract.end}")
    if contract.end in contract.configured:
        return None
    if contract.end == contract.own:
        return f"generation_config stops at {stops}; at {end!r} only where eos_token_id of the tokenizer is passed"
    raise Failure(
        f"by {contract.wording} answers end with {end!r}, but generation stops at {stops}, and eos_token of the"
        f" tokenizer is {contract.texts.get(contract.own)!r}",
        f"{end!r} among the tokens that stop generation",
    )
