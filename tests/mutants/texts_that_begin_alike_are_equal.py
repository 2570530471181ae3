"""A text is right if it begins like the true one."""

from mutation import Mutant

from sft_ref.reference.texts import normalise


def begins_alike(answer: object, truth: object) -> bool:
    return isinstance(answer, str) and isinstance(truth, str) and normalise(answer).startswith(normalise(truth))


MUTANT = Mutant(
    id="begins-alike",
    stage="score",
    checks=("SCR-005",),
    fault="an answer that goes on after the true text counts as right",
    source="ours",
    patches={"sft_ref.reference.data.is_same_text": begins_alike},
)
