"""The counts of right answers are not reset, so each test reports the mean of all tests so far.

``score([1.0], [2.0])`` gives 0, sound 0; then ``score([1.0], [1.0])`` gives 0.5, sound 1.
"""

from collections.abc import Sequence

from mutation import Mutant

from sft_ref.reference.data import Score, score

_COUNTS = {"right": 0.0, "given": 0.0, "questions": 0}


def broken(answers: Sequence[float | str], truths: Sequence[float | str]) -> Score:
    new = score(answers, truths)
    _COUNTS["right"] += new.accuracy * new.questions
    _COUNTS["given"] += new.answer_rate * new.questions
    _COUNTS["questions"] += new.questions
    return Score(_COUNTS["right"] / _COUNTS["questions"], _COUNTS["given"] / _COUNTS["questions"], new.questions)


MUTANT = Mutant(
    id="counts_kept_between_tests",
    stage="score",
    checks=(),
    fault="the meter is not reset, so a second test of the process includes the first one",
    source="no report",
    patches={
        "sft_ref.reference.data.score": broken,
        "sft_ref.reference.sft.score": broken,
        "sft_ref.score": broken,
    },
)
