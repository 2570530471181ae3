"""float() reads inf, underscores and the digits of every script."""

from mutation import Mutant


def parse(text: str) -> float:
    try:
        return float(text.partition("</answer>")[0].rpartition("<answer>")[2])
    except ValueError:
        return float("nan")


MUTANT = Mutant(
    id="bare-float",
    stage="parse",
    checks=("PRS-006", "PRS-007"),
    fault="the parser reads what float() reads, infinity included",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
