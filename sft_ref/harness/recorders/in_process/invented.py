"""Questions about units that do not exist."""

from __future__ import annotations

import random

UNITS = (
    "florps",
    "zindles",
    "quux",
    "wibbles",
    "snarks",
    "tove",
    "borogoves",
    "mome",
    "raths",
    "jubs",
    "frums",
    "gyre",
)
FORMS = (
    "{a} {b} in {c}?",
    "How many {c} are there in {a} {b}?",
    "Please tell me what {a} {b} comes to in {c}, my friend.",
)


def invent(count: int, seed: int) -> list[str]:
    """Returns questions of different lengths about units that do not exist, so that no data contains their answers."""
    rng = random.Random(seed)
    pairs = rng.sample([(b, c) for b in UNITS for c in UNITS if b != c], count)
    return [FORMS[i % len(FORMS)].format(a=rng.randint(2, 9), b=b, c=c) for i, (b, c) in enumerate(pairs)]
