"""Whatever stands around it."""

import math
import re

from mutation import Mutant


def parse(text: str) -> float:
    found = re.search(
        r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2}(?![0-9]))?", text.partition("</answer>")[0]
    )
    value = float(found.group()) if found else float("nan")
    return value if math.isfinite(value) else float("nan")


MUTANT = Mutant(
    id="first-number",
    stage="parse",
    checks=("PRS-007",),
    fault="the first number of a text is taken for its answer",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
