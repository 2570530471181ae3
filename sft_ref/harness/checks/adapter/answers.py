"""Checks of what only answers show: the base, the factor, the prompt and the end of generation.

Each accuses a stage only where changing that stage alone brings the answers back, or where every other explanation was
tried. What a badly trained adapter would look like too is skipped, with the reason.
"""

from __future__ import annotations

from typing import Protocol

from sft_ref.harness.core.check import Check, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments import tolerance
from sft_ref.harness.instruments.answering import is_better
from sft_ref.harness.instruments.losses import Paired, compare
from sft_ref.harness.recorders.folder.answers.evidence import AnswersEvidence, Header, Trial
from sft_ref.harness.recorders.folder.answers.examine import SHOWN
from sft_ref.harness.recorders.folder.answers.experiments import RETURNED, returns
from sft_ref.harness.recorders.folder.answers.wording import STRIPPED, TEMPLATE

ENOUGH_ROWS = 16
"""Rows from which on right answers show a base or a prompt: over a near relative of its base an adapter of ours gives
five right answers of six, so that 16 of 16 come one time in twenty."""

FEWEST_ROWS = 11
"""Rows from which on `is_better` can be true: 11 answers that all change for the better are p < 0.001."""

ALIGNED = 2.0
"""How much more than with shuffled coordinates an adapter moves its base's predictions, from which on it is aligned.

Measured on rows it was trained for: 10 and more over its own base; 3 over a relative whose weights are off by half
their size; 0.5 to 1.6 over eight bases in which the same is known at other places. With rows or a prompt that it was
not trained for, a sound adapter over its own base comes to 0.9 to 6: a low number therefore accuses no base.
"""


class Case(Protocol):
    """Evidence with a part for answers."""

    answers: AnswersEvidence | None


def _with_rows(case: Case) -> AnswersEvidence:
    if case.answers is None:
        raise Unavailable("no --data was given")
    if case.answers.lacking:
        raise Unavailable(case.answers.lacking)
    return case.answers


@check(
    "BAS-201",
    "The adapter has its trained effect on this base",
    why="An adapter is a change to one set of weights. On another base of the same shape it loads, and has no useful"
    " effect.",
    remedy="Load it on the base it was trained on, in the same revision.",
    core=True,
)
def adapter_fits_the_base(case: Case) -> None:
    """BAS-201: shown or open, never accused: to rows alone, another base looks like rows of another kind."""
    found = _with_rows(case)
    best = found.best
    base = found.base_losses[best.wording]
    gain = compare(base, best.losses)
    helps = _is_clear(gain)
    costs = f"true answers cost {best.loss:.2f} nat a token with it and {base.mean().item():.2f} without"
    if sum(best.right) >= SHOWN * len(best.right):
        if not helps:
            raise Unavailable(f"{best.count} answers are right, but {costs}: the base alone may give them")
        if found.rows < ENOUGH_ROWS:
            raise Unavailable(f"{best.count} answers are right; {ENOUGH_ROWS} rows or more show that it is no chance")
        return
    raise Unavailable(_why_base_is_open(found, costs, helps=helps))


def _is_clear(gain: Paired) -> bool:
    """Whether losses differ by more than chance, and by what training must at least come to."""
    return gain.mean > tolerance.FALL and gain.t > tolerance.PAIRED_T


def _why_base_is_open(found: AnswersEvidence, costs: str, *, helps: bool) -> str:
    best = found.best
    if helps:
        return (
            f"{best.count} answers are right and {costs}: one that is trained too little looks like one whose base is"
            " another version of this"
        )
    if any(each.ratio >= ALIGNED for each in found.alignments):
        return (
            f"{best.count} answers are right and {costs}; it fits this base's coordinates, or those of a version of it:"
            " what remains is other texts or prompts than these, another version, or bad training"
        )
    return (
        f"{best.count} answers are right and {costs}, and it moves predictions hardly more than the same adapter with"
        " shuffled coordinates: it was trained on another base, or on other texts than these"
    )


@check(
    "SCL-201",
    "No other scaling gives better answers than the configured one",
    why="The scaling, alpha / r or with rsLoRA alpha / sqrt(r), is stored in the configuration only. If alpha or the"
    " flag differs from training, everything loads and answers are lost.",
    remedy="Restore lora_alpha and use_rslora in adapter_config.json to their values in training.",
    core=True,
)
def factor_is_that_of_training(case: Case) -> str | None:
    """SCL-201: the same rows, in the wording that answers return in, at multiples of the factor."""
    found = _with_rows(case)
    if not found.has_factors:
        raise Unavailable("no layer of it has a LoRA factor")
    best = found.best
    configured = _tried(found, best.wording, 1.0)
    others = [each for each in found.trials if each.wording == best.wording and each.factor != 1.0]
    restored = [each for each in others if each.answers and returns(configured, each)]
    if restored:
        raise _wrong_factor(found, configured, min(restored, key=lambda each: each.loss))
    right, rows = sum(configured.right), len(configured.right)
    lowest = min((configured, *others), key=lambda each: each.loss)
    if rows >= FEWEST_ROWS and right >= RETURNED * rows and lowest is configured and _is_minimum(found, configured):
        return None
    if rows >= ENOUGH_ROWS and right >= SHOWN * rows and configured.loss <= tolerance.LOSS:
        # a loss is never below 0, so that no factor can be better by more than what counts as a difference
        least = f"{configured.count} answers are right, and the true ones cost {configured.loss:.2f} nat a token"
        return f"{least}: no factor is clearly better, though a near one may be as good"
    place = "the configured factor" if lowest is configured else f"{_times(lowest)} the configured factor"
    raise Unavailable(
        f"{configured.count} answers are right, and no clearly larger number at another factor; the true ones cost"
        f" {configured.loss:.2f} nat a token, and least ({lowest.loss:.2f}) at {place}, which does not tell a wrong"
        " factor from too little training"
    )


def _is_minimum(found: AnswersEvidence, configured: Trial) -> bool:
    """Whether true answers cost clearly less than at half and twice the factor, and than without the adapter.

    Means little while answers are few: too few steps at a factor that is too large have their minimum here too.
    """
    around = [_tried(found, configured.wording, factor).losses for factor in (0.5, 2.0)]
    others = (*around, found.base_losses[configured.wording])
    return all(_is_clear(compare(each, configured.losses)) for each in others)


def _wrong_factor(found: AnswersEvidence, configured: Trial, restored: Trial) -> Failure:
    formulas = ("alpha / sqrt(r)", "alpha / r") if found.uses_rslora else ("alpha / r", "alpha / sqrt(r)")
    flag = "true" if found.uses_rslora else "false"
    name = f" ({formulas[1]})" if restored.is_flag else ""
    blame = f": use_rslora is {flag}, and was the opposite in training" if restored.is_flag else ""
    return Failure(
        f"{configured.count} answers right at the configured factor {configured.scale} ({formulas[0]}),"
        f" {restored.count} at {restored.scale}{name}, {_times(restored)} it; true answers cost {configured.loss:.2f}"
        f" and {restored.loss:.2f} nat a token{blame}",
        f"as many at {configured.scale}",
        f"wrote {configured.answers[0].text!r}, and at {restored.scale} {restored.answers[0].text!r}",
    )


def _times(trial: Trial) -> str:
    return f"{trial.factor:.3g} times"


def _tried(found: AnswersEvidence, wording: str, factor: float) -> Trial:
    trial = found.trial(wording, factor)
    if trial is None:
        raise Unavailable(f"{wording} was not tried at {factor:g} times the factor")
    return trial


@check(
    "PRM-201",
    "The adapter answers the given prompt as well as the chat template's",
    why="A model answers after the text it was trained on; a different text asks for something else.",
    remedy="Send the training text up to the answer: the same template, header and spaces.",
    core=True,
)
def prompt_is_that_of_training(case: Case) -> None:
    """PRM-201: the same rows in other wordings, at the factor that answers return at."""
    found = _with_rows(case)
    best = found.best
    given = _tried(found, found.given, best.factor)
    others = [each for each in found.trials if each.wording != found.given and each.factor == best.factor]
    others = [each for each in others if each.answers]
    better = [each for each in others if is_better(each.right, given.right)]
    if better:
        raise _wrong_prompt(found, given, max(better, key=lambda each: sum(each.right)))
    right, rows = sum(given.right), len(given.right)
    if right >= SHOWN * rows and rows >= ENOUGH_ROWS:
        return
    if right >= SHOWN * rows:
        raise Unavailable(f"{given.count} answers are right; {ENOUGH_ROWS} rows or more show that it is no chance")
    compared = any(each.wording not in {found.given, STRIPPED} for each in others)
    if compared and right >= RETURNED * rows and rows >= FEWEST_ROWS:
        return
    if found.is_template and found.given != TEMPLATE and _helps(found, given):
        return
    raise Unavailable(_why_prompt_is_open(found, given, others))


def _helps(found: AnswersEvidence, trial: Trial) -> bool:
    return _is_clear(compare(found.base_losses[trial.wording], trial.losses))


def _wrong_prompt(found: AnswersEvidence, given: Trial, other: Trial) -> Failure:
    header = found.header if other.wording == TEMPLATE else None
    part = header.part if header else "the prompt ends with a space, which belongs to the answer"
    missing = f": it leaves out {header.missing!r}, which the model then writes" if header and header.begun else ""
    return Failure(
        f"{given.count} answers right with {given.wording}, {other.count} with {other.wording}{missing}",
        "as many",
        f"{part}; wrote {given.answers[0].text!r}",
    )


def _why_prompt_is_open(found: AnswersEvidence, given: Trial, others: list[Trial]) -> str:
    counts = ", ".join(f"{each.count} with {each.wording}" for each in others)
    if found.given == TEMPLATE:
        return f"no --prompt was given, and {given.count} answers are right with the chat template's"
    if not counts:
        return f"{given.count} answers are right with it, and there is no chat template to compare with"
    return f"{given.count} answers are right with it and {counts}, which does not tell them apart"


@check(
    "PRM-202",
    "The answer does not begin with a part of the chat template that the prompt leaves out",
    why="Without the assistant's header in the prompt, the model generates the header, and it is read as part of the"
    " answer.",
    remedy="End the prompt with the assistant's header: apply_chat_template(..., add_generation_prompt=True).",
)
def header_is_not_left_to_the_model(case: Case) -> None:
    """PRM-202: needs no rows."""
    header = None if case.answers is None else case.answers.header
    if header is None:
        raise Unavailable("no --prompt was given, or there is no chat template to compare it with")
    if header.begun > header.asked / 2:
        raise _left_out(header)


def _left_out(header: Header) -> Failure:
    return Failure(
        f"{header.begun} of {header.asked} answers begin with {header.missing!r}, which the chat template puts before"
        " an answer and the prompt leaves out",
        "answers that begin with the answer",
        f"{header.part}; wrote {header.example!r}",
    )


@check(
    "GEN-201",
    "Greedy generation returns the true answers that the model predicts token by token",
    why="Generation settings of the base, such as a repetition penalty, choose other tokens than the most likely ones.",
    remedy="Generate without these settings, or train with answers that they do not change.",
    core=True,
)
def generation_gives_what_is_known(case: Case) -> None:
    """GEN-201: in the wording and at the factor that answers return in, with the base's own settings."""
    found = _with_rows(case)
    best = found.best
    known = sum(best.known)
    if is_better(best.known, best.right):
        raise Failure(
            f"{best.count} answers right, although {known} are the likeliest from their first token to their last",
            "as many",
            f"wrote {best.answers[0].text!r}",
        )
    stops = found.stops
    if stops is not None and stops.right and is_better(best.right, stops.right):
        raise Failure(
            f"{sum(stops.right)} of {len(stops.right)} answers right with {_settings(dict(stops.settings))} of the"
            f" base's generation_config, {best.count} without",
            "as many",
        )
    if max(known, sum(best.right)) < FEWEST_ROWS:
        raise Unavailable(f"{known} of {found.rows} true answers are predicted token by token, too few to compare")


def _settings(settings: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


@check(
    "GEN-202",
    "Generation stops after a right answer",
    why="If the trained end token is not among the tokens that stop generation, or no end was trained, the model"
    " continues after its answer.",
    remedy="Set eos_token_id in generation_config, or eos_token of the adapter's tokenizer, to the token that ends"
    " answers in training; if none does, train with one.",
)
def answers_end(case: Case) -> str | None:
    """GEN-202: of the right answers, in the wording and at the factor that they return in."""
    found = _with_rows(case)
    stops = found.stops
    right = [answer for answer in found.best.answers if answer.right]
    if stops is None or len(right) < FEWEST_ROWS:
        raise Unavailable(f"{len(right)} answers are right, too few to see how they end")
    followed = [answer.followed_by for answer in right if answer.followed_by]
    ended = f"stops at {' and '.join(map(repr, stops.tokens)) or 'no token'}"
    if len(followed) > len(right) / 2:
        raise Failure(
            f"{len(followed)} of {len(right)} right answers are followed by {followed[0]!r}, and generation {ended}",
            f"generation that stops at {followed[0]!r}",
            right[0].text,
        )
    open_ = [answer for answer in right if not answer.ended and not answer.followed_by]
    if len(open_) > len(right) / 2 and stops.endless == stops.continued:
        raise Failure(
            f"{len(open_)} of {len(right)} right answers go on, {stops.endless} of {stops.continued} that were"
            f" continued for {stops.budget} tokens, and generation {ended}",
            "an end behind the answer",
            open_[0].text,
        )
    return f"{len(open_)} of {len(right)} right answers go on without an end" if open_ else None


CHECKS: tuple[Check, ...] = (
    adapter_fits_the_base,
    factor_is_that_of_training,
    prompt_is_that_of_training,
    header_is_not_left_to_the_model,
    generation_gives_what_is_known,
    answers_end,
)
