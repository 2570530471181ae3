"""Right as long as the model keeps to the form."""

from mutation import Mutant


def parse(text: str) -> float:
    return float(text.split("</answer>", maxsplit=1)[0])


MUTANT = Mutant(
    id="parser-raises",
    stage="parse",
    checks=("PRS-002",),
    fault="the parser raises where the text is no number",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
