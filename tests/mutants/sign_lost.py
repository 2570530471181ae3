"""The pattern for a number has no sign."""

import re

from mutation import Mutant


def parse(text: str) -> float:
    found = re.search(r"[0-9]+\.?[0-9]*", text.split("</answer>", maxsplit=1)[0])
    return float(found.group()) if found else float("nan")


MUTANT = Mutant(
    id="sign-lost",
    stage="parse",
    checks=("PRS-001", "PRS-006", "PRS-007"),
    fault="a negative answer is read without its sign",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
