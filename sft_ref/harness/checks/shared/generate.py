"""Shared checks of the stage generate."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import AnswerCount, ChosenTokens, ReturnedAnswer, StopContract

_TOUCHED = 0.01
"""A truncated answer is a tolerated edge case if less than this fraction of the data's answers are as long."""


@check(
    "GEN-016",
    "Answering raises no exception, and gives an answer for each question",
    why="An exception loses every answer of its batch.",
    remedy="Fix the line that the traceback names; test generation with prompts of different lengths, and with the"
    " longest answers.",
    aliases=("GEN-103",),
)
def answering_completes(answer_count: AnswerCount) -> None:
    """GEN-016: Asks fresh questions in one call; the checks of the parser report the parser's exceptions."""
    if answer_count.given != answer_count.asked:
        raise Failure(f"{answer_count.given} answers come back", f"{answer_count.asked}, one per question")


@check(
    "GEN-007",
    "Every answer that the model generates is returned complete, for its own question",
    why="A small token budget, a repetition penalty, an early stop, wrong slices or another order lose answers that the"
    " model knows.",
    remedy="Allow as many new tokens as the longest answer has (for numbers 32), stop at the end-of-sequence token or"
    " the closing tag, and do not change logits; pad on the left, slice at the padded length, and keep the order.",
    depends_on=("GEN-016",),
    source="S8",
    core=True,
    aliases=("GEN-008", "GEN-101"),
)
def answers_come_back(returned_answers: Sequence[ReturnedAnswer]) -> None:
    """GEN-007: Asks about invented units, alone and in a batch; compares the text before it is parsed."""
    for each in returned_answers:
        if each.fault and not (each.is_cut and each.share < _TOUCHED):
            case = f"{each.question!r} among {each.asked} questions"
            raise Failure(each.fault, f"a text with {each.answer}", case)


@check(
    "GEN-009",
    "Answers to questions of the data set come from the model",
    why="An answer that is looked up or computed elsewhere says nothing about the trained model.",
    remedy="Return what the model generates.",
    depends_on=("GEN-007",),
    source="course submission S5",
    aliases=("GEN-102",),
)
def answers_are_the_models(known_answers: Sequence[ReturnedAnswer]) -> None:
    """GEN-009: Scripts wrong answers."""
    for each in known_answers:
        if each.fault and not each.is_cut:
            raise Failure(each.fault, f"{each.answer}, as the model generates", each.question)


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
    """GEN-010: Allows a few near ties if logits were recomputed."""
    if chosen_tokens.are_sampled:
        seen = f"{chosen_tokens.unlikely} of {chosen_tokens.count} tokens do not have the highest logit"
        raise Failure(seen, "none", chosen_tokens.example)


@check(
    "GEN-203",
    "Generation stops at the token that ends answers in training",
    why="If the end token does not stop generation, the model goes on until its token budget is used up, however well"
    " it was trained.",
    remedy="Add the token that ends answers to eos_token_id of generation_config, or make it the tokenizer's"
    " eos_token.",
)
def end_of_answers_stops_generation(stop_contract: StopContract) -> str | None:
    """GEN-203: Compares token ids, without generating anything."""
    contract = stop_contract
    if contract.end is None:
        raise Unavailable(
            "the chat template writes no special token after an answer, and trainers append different ones"
        )
    stops = " and ".join(repr(contract.texts.get(each, f"id {each}")) for each in contract.configured) or "no token"
    end = contract.texts.get(contract.end, f"id {contract.end}")
    if contract.end in contract.configured:
        return None
    if contract.end == contract.own:
        return f"generation_config stops at {stops}; at {end!r} only if the tokenizer's eos_token_id is passed"
    raise Failure(
        f"answers formatted by {contract.wording} end with {end!r}, but generation stops at {stops}, and the"
        f" tokenizer's eos_token is {contract.texts.get(contract.own)!r}",
        f"{end!r} among the tokens that stop generation",
    )
