"""What the checks share that compare answers and losses of rows.

Each of them accuses a stage only where changing that stage alone brings the answers back, or where every other
explanation was tried. What a badly trained adapter looks like too is skipped, with the reason.
"""

from __future__ import annotations

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.answers import AnswersEvidence, Trial

ENOUGH_ROWS = 16
"""Rows from which on right answers show a base or a prompt.

Over a near relative of its base an adapter gives five of six right answers, so that 16 of 16 come one time in twenty.
"""

FEWEST_ROWS = 11
"""Rows from which on `is_better` can be true: 11 answers that all change for the better are p < 0.001."""


def require_rows(evidence: AdapterEvidence) -> AnswersEvidence:
    """The evidence of answers; without rows the check is skipped."""
    if evidence.answers is None:
        raise Unavailable("no --data was given")
    if evidence.answers.unavailable:
        raise Unavailable(evidence.answers.unavailable)
    return evidence.answers


def require_trial(found: AnswersEvidence, wording: str, factor: float) -> Trial:
    """One trial; where it was not made the check is skipped."""
    trial = found.trial(wording, factor)
    if trial is None:
        raise Unavailable(f"{wording} was not tried at {factor:g} times the factor")
    return trial
