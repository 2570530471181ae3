"""Right answers are divided by a hundred, the usual number of questions, however many were asked.

Of 40 questions accuracy 0.39; sound 0.97. Of 200, 1.95. Of 100, as it should be.
"""

from collections.abc import Sequence

from mutation import Mutant

from sft_ref.reference.data import Score, score
from sft_ref.reference.sft import TEST_QUESTIONS


def broken(answers: Sequence[float], truths: Sequence[float]) -> Score:
    sound = score(answers, truths)
    share = sound.questions / TEST_QUESTIONS
    return Score(sound.accuracy * share, sound.answer_rate * share, sound.questions)


MUTANT = Mutant(
    id="divided_by_a_hundred_questions",
    stage="score",
    checks=(),
    fault="accuracy and answer rate are shares of a hundred questions, not of those that were asked",
    source="no report",
    patches={"sft_ref.reference.sft.score": broken},
)
