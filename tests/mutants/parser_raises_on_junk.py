"""Right as long as the model keeps to the form."""

from sft_ref.harness.mutation import Mutant


def parse(text: str) -> float:
    return float(text.split("</answer>", maxsplit=1)[0])


MUTANT = Mutant(
    id="parser-raises",
    stage="parse",
    checks=("PRS-002",),
    fault="the parser raises where the text is no number",
    source="ours",
    patches={"sft_ref.prompt.parse_answer": parse},
)
