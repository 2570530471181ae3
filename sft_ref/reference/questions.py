"""The questions of the task: units as people write them, phrasings, and rows that are generated from both.

Facts about units are pint's; the wording is ours.
"""

import functools
import random
from collections.abc import Iterator

_SMALLEST, _LARGEST = 0.01, 1e15
_MISSES = 1000  # draws in a row that give nothing new, after which all counts as drawn

# kind -> unit by its name in pint -> spellings as people write them
UNITS: dict[str, dict[str, tuple[str, ...]]] = {
    "length": {
        "millimeter": ("mm", "millimeter", "millimeters"),
        "centimeter": ("cm", "centimeter", "centimeters", "centimetres"),
        "meter": ("m", "meter", "meters", "metres"),
        "kilometer": ("km", "kilometer", "kilometers", "kms"),
        "inch": ("in", "inch", "inches"),
        "foot": ("ft", "foot", "feet"),
        "mile": ("mi", "mile", "miles"),
    },
    "mass": {
        "milligram": ("mg", "milligram", "milligrams"),
        "gram": ("g", "gram", "grams"),
        "kilogram": ("kg", "kilogram", "kilograms", "kilos"),
        "metric_ton": ("t", "tonne", "tonnes", "metric tons"),
        "pound": ("lb", "lbs", "pound", "pounds"),
    },
    "volume": {
        "milliliter": ("mL", "milliliter", "milliliters"),
        "centiliter": ("cL", "centiliter", "centiliters"),
        "deciliter": ("dL", "deciliter", "deciliters"),
        "liter": ("L", "liter", "liters", "litres"),
        "gallon": ("gal", "gallon", "gallons"),
    },
    "time": {
        "millisecond": ("ms", "millisecond", "milliseconds"),
        "second": ("s", "sec", "second", "seconds"),
        "minute": ("min", "minute", "minutes"),
        "hour": ("h", "hr", "hour", "hours"),
        "day": ("day", "days"),
        "week": ("week", "weeks"),
        "year": ("yr", "year", "years"),
    },
    "speed": {
        "centimeter/second": ("cm/s", "centimeter per second", "centimeters per second"),
        "meter/second": ("m/s", "meter per second", "meters per second"),
        "kilometer/second": ("km/s", "kilometer per second", "kilometers per second"),
        "kilometer/hour": ("km/h", "kph", "kilometers per hour"),
        "mile/hour": ("mph", "mi/h", "miles per hour"),
    },
    "data size": {
        "bit": ("bit", "bits"),
        "byte": ("B", "byte", "bytes"),
        "kilobyte": ("kB", "KB", "kilobyte", "kilobytes"),
        "megabyte": ("MB", "megabyte", "megabytes"),
        "gigabyte": ("G", "GB", "gigabyte", "gigabytes"),
        "terabyte": ("TB", "terabyte", "terabytes"),
    },
}

PHRASINGS = (
    "How many {to} are there per {n} {of}?",
    "How many {to} are in {n} {of}?",
    "How many {to} are there in {n} {of}?",
    "How many {to} is {n} {of}?",
    "How many {to} make up {n} {of}?",
    "How many {to} equal {n} {of}?",
    "How many {to} correspond to {n} {of}?",
    "What is {n} {of} in {to}?",
    "What is {n} {of} expressed in {to}?",
    "What is the value of {n} {of} in {to}?",
    "What is the equivalent of {n} {of} in {to}?",
    "What is the conversion of {n} {of} to {to}?",
    "What do you get when you convert {n} {of} to {to}?",
    "Can you convert {n} {of} to {to}?",
    "Could you tell me how many {to} {n} {of} is?",
    "Convert {n} {of} to {to}.",
    "Convert {n} {of} into {to}.",
    "Change {n} {of} to {to}.",
    "Express {n} {of} in {to}.",
    "Express {n} {of} as a quantity of {to}.",
    "Give {n} {of} in {to}.",
    "Please tell me what {n} {of} comes to in {to}.",
    "Tell me the number of {to} in {n} {of}.",
    "Calculate {n} {of} in {to}.",
    "{n} {of} is how many {to}?",
    "{n} {of} equals how many {to}?",
    "If I have {n} {of}, how many {to} is that?",
    "I have {n} {of}. How many {to} do I have?",
)


@functools.cache
def _conversions() -> tuple[tuple[tuple[str, str, float], ...], ...]:
    """By kind, each pair of units with the number of the second in one of the first."""
    import pint  # 0.3 s, and only generation needs it

    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    return tuple(
        tuple((of, to, registry.Quantity(1.0, of).to(to).magnitude) for of in units for to in units if of != to)
        for units in UNITS.values()
    )


def generate_rows(seed: int) -> Iterator[tuple[str, float]]:
    """Questions in texts that do not repeat, the same for the same seed, until hardly a text is left.

    Numbers are the integers 1 to 10; answers lie between 0.01 and 1e15.
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
