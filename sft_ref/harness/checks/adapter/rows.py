"""Helpers of the checks that compare answers and losses of rows.

Such a check fails a stage only if changing that stage alone restores the answers, or if every other explanation was
tried. If a badly trained adapter would look the same, the check is skipped, with the reason.
"""

from __future__ import annotations

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.answers import AnswersEvidence, Trial

ENOUGH_ROWS = 16
"""Smallest number of rows for which right answers confirm a base or a prompt.

On a close relative of its base, an adapter answers five of six questions rightly, so 16 of 16 occur one time in twenty.
"""

FEWEST_ROWS = 11
"""Smallest number of rows for which `is_better` can be true: 11 answers that all improve give p < 0.001."""


def require_rows(evidence: AdapterEvidence) -> AnswersEvidence:
    """Returns the evidence of answers; skips the check if there are no rows."""
    if evidence.answers is None:
        raise Unavailable("no --data was given")
    if evidence.answers.unavailable:
        raise Unavailable(evidence.answers.unavailable)
    return evidence.answers


def require_trial(found: AnswersEvidence, wording: str, factor: float) -> Trial:
    """Returns one trial; skips the check if the trial was not run."""
    trial = found.trial(wording, factor)
    if trial is None:
        raise Unavailable(f"{wording} was not tried at {factor:g} times the factor")
    return trial
