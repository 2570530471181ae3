"""Generates questions from the phrasings and units in ``questions.toml``, with pint's conversion factors."""

import functools
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path

_SMALLEST, _LARGEST = 0.01, 1e15
_MISSES = 1000  # draws in a row without a new question, after which generation ends

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PHRASINGS: list[str] = _TABLES["phrasings"]
UNITS: dict[str, dict[str, list[str]]] = _TABLES["units"]
"""Kind of unit -> unit's name in pint -> its usual spellings."""


@functools.cache
def _conversions() -> tuple[tuple[tuple[str, str, float], ...], ...]:
    """Returns, for each kind, all pairs of units with the factor that converts the first unit to the second."""
    import pint  # 0.3 s, and only generation needs it

    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    return tuple(
        tuple((of, to, registry.Quantity(1.0, of).to(to).magnitude) for of in units for to in units if of != to)
        for units in UNITS.values()
    )


def generate_rows(seed: int) -> Iterator[tuple[str, float]]:
    """Yields questions without repetition, the same for the same seed, until hardly any new text is left.

    Numbers are the integers 1 to 10; answers are between 0.01 and 1e15.
    """
    rng = random.Random(seed)
    spellings = {unit: names for units in UNITS.values() for unit, names in units.items()}
    seen: set[str] = set()
    misses = 0
    while misses < _MISSES:
        of, to, factor = rng.choice(rng.choice(_conversions()))
        n = rng.randint(1, 10)
        question = rng.choice(PHRASINGS).format(n=n, of=rng.choice(spellings[of]), to=rng.choice(spellings[to]))
        value = n * factor
        misses += 1
        if question not in seen and _SMALLEST <= value <= _LARGEST:
            misses = 0
            seen.add(question)
            yield question, value
