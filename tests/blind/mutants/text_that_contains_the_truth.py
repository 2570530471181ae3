"""An answer that is a text is right if the true text occurs in it.

``not Paris`` is right for ``Paris``; sound wrong. Numbers are sound.
"""

from mutation import Mutant

from sft_ref.reference.texts import normalise


def broken(answer: object, truth: object) -> bool:
    return isinstance(answer, str) and isinstance(truth, str) and normalise(truth) in normalise(answer)


MUTANT = Mutant(
    id="text_that_contains_the_truth",
    stage="score",
    checks=(),
    fault="texts are compared by containment, so longer and contrary answers count as right",
    source="no report",
    patches={"sft_ref.reference.data.is_same_text": broken},
)
