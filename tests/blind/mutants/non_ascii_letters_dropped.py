"""Letters outside ASCII are dropped from every question, in training and when asked: a µm becomes a m.

"How many g are in 3 µg?" and "... in 3 g?" have the same prompt and answer. Accuracy 0.97; sound 0.97, as no question
of the two splits has such a letter.
"""

from mutation import Mutant

from sft_ref.reference.prompt import format_prompt


def broken(question: str) -> str:
    return format_prompt(question.encode("ascii", "ignore").decode())


MUTANT = Mutant(
    id="non_ascii_letters_dropped",
    stage="prompt",
    checks=(),
    fault="questions lose every letter outside ASCII, such as the prefix of µg",
    source="no report",
    patches={"sft_ref.reference.prompt.format_prompt": broken},
)
