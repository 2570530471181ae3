"""The tag stands in the prompt, and the parser gets new text only."""

from mutation import Mutant


def parse(text: str) -> float:
    try:
        return float(text.split("<answer>")[1].split("</answer>", maxsplit=1)[0])
    except (IndexError, ValueError):
        return float("nan")


MUTANT = Mutant(
    id="S2",
    stage="parse",
    checks=("PRS-001", "PRS-006", "PRS-007"),
    fault="the parser wants an open tag that the prompt has consumed",
    source="course submission",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
