"""Checks of the stage scaling: whether the scaling is that of training."""

from __future__ import annotations

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import compare, has_fallen
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.answers import RETURNED, SHOWN, AnswersEvidence, Trial, returns

from .rows import ENOUGH_ROWS, FEWEST_ROWS, require_rows, require_trial


@check(
    "SCL-201",
    "No other scaling gives better answers than the configured one",
    why="The scaling, alpha / r or with rsLoRA alpha / sqrt(r), is stored in the configuration only. If alpha or the"
    " flag differs from training, everything loads and answers are lost.",
    remedy="Restore lora_alpha and use_rslora in adapter_config.json to their values in training.",
    core=True,
)
def factor_is_that_of_training(evidence: AdapterEvidence) -> str | None:
    """SCL-201: Compares the same rows at multiples of the scaling, in the prompt wording of the best trial."""
    found = require_rows(evidence)
    if not found.has_factors:
        raise Unavailable("none of its layers has a LoRA factor")
    best = found.best
    configured = require_trial(found, best.wording, 1.0)
    others = [each for each in found.trials if each.wording == best.wording and each.factor != 1.0]
    restored = [each for each in others if each.answers and returns(configured, each)]
    if restored:
        raise _wrong_factor(found, configured, min(restored, key=lambda each: each.loss))
    right, rows = sum(configured.right), len(configured.right)
    lowest = min((configured, *others), key=lambda each: each.loss)
    if rows >= FEWEST_ROWS and right >= RETURNED * rows and lowest is configured and _is_minimum(found, configured):
        return None
    if rows >= ENOUGH_ROWS and right >= SHOWN * rows and configured.loss <= tolerance.LOSS:
        # a loss is never below 0, so no factor can be better by more than `LOSS`, the least that counts as a difference
        least = (
            f"{configured.count} answers are right, and the loss of the true ones is {configured.loss:.2f} nat a token"
        )
        return f"{least}: no factor is clearly better, though a nearby one may be as good"
    place = "the configured factor" if lowest is configured else f"{_times(lowest)} the configured factor"
    raise Unavailable(
        f"{configured.count} answers are right, and not clearly more at any other factor; the loss of true answers is"
        f" {configured.loss:.2f} nat a token, and lowest ({lowest.loss:.2f}) at {place}: this cannot distinguish a"
        " wrong factor from too little training"
    )


def _is_minimum(found: AnswersEvidence, configured: Trial) -> bool:
    """Returns whether true answers have a clearly lower loss than at half and twice the factor and without adapter.

    This means little if few answers are right: too few training steps at too large a factor have their minimum here as
    well.
    """
    around = [require_trial(found, configured.wording, factor).losses for factor in (0.5, 2.0)]
    others = (*around, found.base_losses[configured.wording])
    return all(has_fallen(compare(each, configured.losses)) for each in others)


def _wrong_factor(found: AnswersEvidence, configured: Trial, restored: Trial) -> Failure:
    formulas = ("alpha / sqrt(r)", "alpha / r") if found.uses_rslora else ("alpha / r", "alpha / sqrt(r)")
    flag = "true" if found.uses_rslora else "false"
    name = f" ({formulas[1]})" if restored.is_flag else ""
    blame = f": use_rslora is {flag}, and was the opposite in training" if restored.is_flag else ""
    return Failure(
        f"{configured.count} answers are right at the configured factor {configured.scale} ({formulas[0]}), and"
        f" {restored.count} at {restored.scale}{name}, {_times(restored)} it; the loss of true answers is"
        f" {configured.loss:.2f} and {restored.loss:.2f} nat a token{blame}",
        f"as many right answers at {configured.scale}",
        f"wrote {configured.answers[0].text!r}, and at {restored.scale} {restored.answers[0].text!r}",
    )


def _times(trial: Trial) -> str:
    return f"{trial.factor:.3g} times"
