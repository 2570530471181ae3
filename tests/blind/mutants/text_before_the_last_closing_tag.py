"""The parser takes the text before the last closing tag, not before the first.

``6.0</answer> 7</answer>`` gives NaN, sound 6; ``<answer>1</answer> <answer>2</answer>`` gives 2, sound 1. Accuracy
0.97, sound 0.97, as the model stops at its first tag.
"""

from mutation import Mutant

from sft_ref.reference.prompt import CLOSE_TAG, parse_answer


def broken(text: str) -> float:
    before, tag, _ = text.rpartition(CLOSE_TAG)
    return parse_answer(before.replace(CLOSE_TAG, "") if tag else text)


MUTANT = Mutant(
    id="text_before_the_last_closing_tag",
    stage="parse",
    checks=(),
    fault="a completion that goes on after its answer and closes a second tag is not read, or its second answer is",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
