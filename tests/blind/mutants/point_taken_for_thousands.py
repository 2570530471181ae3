"""The parser drops the point as a separator of thousands: 6000.0 is read as 60000. Accuracy 0.00; sound 1.00."""

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    return parse_answer(text.replace(".", ""))


MUTANT = Mutant(
    id="point_taken_for_thousands",
    stage="parse",
    checks=(),
    fault="the decimal point is dropped as a separator of thousands",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
