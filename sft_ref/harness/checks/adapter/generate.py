"""Checks of the stage generate: whether generation returns the answers that the model knows, and stops."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import is_better
from sft_ref.harness.evidence.adapter import AdapterEvidence

from .rows import FEWEST_ROWS, require_rows


@check(
    "GEN-201",
    "Greedy generation returns the true answers that the model predicts token by token",
    why="Generation settings of the base, such as a repetition penalty, choose tokens other than the likeliest.",
    remedy="Generate without these settings, or train with answers that they do not change.",
    core=True,
)
def generation_gives_what_is_known(evidence: AdapterEvidence) -> None:
    """GEN-201: Uses the prompt wording and scaling of the best trial, and the base's own generation settings."""
    found = require_rows(evidence)
    best = found.best
    known = sum(best.known)
    if is_better(best.known, best.right):
        raise Failure(
            f"{best.count} greedy answers are right, but in {known} rows every token of the true answer is the"
            " likeliest",
            "as many right answers",
            f"wrote {best.answers[0].text!r}",
        )
    stops = found.stops
    if stops is not None and stops.right and is_better(best.right, stops.right):
        raise Failure(
            f"{sum(stops.right)} of {len(stops.right)} answers are right with {_settings(dict(stops.settings))} of the"
            f" base's generation_config, and {best.count} without",
            "as many right answers",
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
def answers_end(evidence: AdapterEvidence) -> str | None:
    """GEN-202: Examines the right answers in the prompt wording and scaling of the best trial."""
    found = require_rows(evidence)
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
    if len(open_) > len(right) / 2 and stops.endless > stops.continued / 2:
        raise Failure(
            f"{len(open_)} of {len(right)} right answers do not end ({stops.endless} of {stops.continued} not within"
            f" {stops.budget} tokens), and generation {ended}",
            "an end after the answer",
            open_[0].text,
        )
    return f"{len(open_)} of {len(right)} right answers go on without an end" if open_ else None
