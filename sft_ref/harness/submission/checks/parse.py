"""Checks of parse: texts that hold the number said, or none, and what it makes of them."""

from __future__ import annotations

import math

from sft_ref.harness.check import Check, Level, check
from sft_ref.harness.findings import Failure, Unavailable
from sft_ref.harness.submission.answering import number
from sft_ref.harness.submission.convention import (
    numerals,
)
from sft_ref.harness.submission.dictated import (
    fault_of_generation,
    is_looked_up,
    is_number,
    is_of_parser,
    raise_for_crash,
    told_scripts,
)
from sft_ref.harness.submission.evidence import Evidence


@check(
    "PRS-101",
    "the parser gives the number that the text holds",
    why="A parser that wants what the prompt has consumed, or reads another number, loses every answer.",
    remedy="Parse what generation returns: the text behind the prompt.",
    source="S2",
)
def numbers_are_parsed(evidence: Evidence) -> None:
    """PRS-101: texts that hold the number said, and what it makes of them."""
    seen = False
    for script, told in [
        *told_scripts(evidence, "together"),
        *told_scripts(evidence, "alone"),
        *told_scripts(evidence, "known"),
    ]:
        raise_for_crash(told, parser=True)
        places = range(len(script["lines"]))
        if any(fault_of_generation(evidence, script, told, place) for place in places):
            continue  # one text that is cut or mixed up makes its neighbours doubtful
        for place, line in enumerate(script["lines"]):
            texts, values = told.get("texts", ()), told.get("values", ())
            given = texts[place][1] if len(texts) == len(script["lines"]) else values[place]
            seen = True
            if not is_number(given, line["numeral"]):
                text = texts[place][0] if len(texts) == len(script["lines"]) else line["numeral"]
                found = f"{given} from {text[-120:]!r}{_what_it_wants(evidence)}"
                raise Failure(found, line["numeral"], line["question"])
    if not seen:
        _parser_alone(evidence)


@check(
    "PRS-102",
    "without an answer the parser gives NaN",
    why="A constant, or a stored truth, in place of NaN counts what was not answered as answered.",
    remedy='Return float("nan") where there is no number.',
    source="S4",
)
def silence_is_nan(evidence: Evidence) -> None:
    """PRS-102: the model says that it has no idea."""
    for script, told in told_scripts(evidence, "silent"):
        crash = told.get("crash")
        if crash and is_of_parser(crash):
            raise Failure(f"{crash['type']}: {crash['message']}", "NaN", crash["where"])
        values, texts = told.get("values", ()), told.get("texts", ())
        for place, (line, value) in enumerate(zip(script["lines"], values, strict=False)):
            if len(texts) == len(values) and numerals(texts[place][0]):
                continue  # generation's matter
            if is_looked_up(evidence):  # then the parser is judged by what it gives, if it was asked
                value = texts[place][1] if len(texts) == len(values) else math.nan  # noqa: PLW2901
            if not math.isnan(number(value)):
                raise Failure(f"{value}", "NaN", f"{line['question']!r}, answered with ' no idea at all'")


@check(
    "PRS-103",
    "negative numbers keep their sign",
    level=Level.CONTRACT,
    why="The data has none, but a temperature would.",
    remedy="Let the parser take a sign.",
    after=("PRS-101",),
)
def signs_are_kept(evidence: Evidence) -> None:
    """PRS-103: one number."""
    for script, told in told_scripts(evidence, "negative"):
        for line, value in zip(script["lines"], told.get("values", ()), strict=False):
            if not is_number(value, line["numeral"]):
                raise Failure(str(value), line["numeral"], line["question"])


def _what_it_wants(evidence: Evidence) -> str:
    """Names both ends where the parser reads a training text from the number's lead on, and not from the number on."""
    values = evidence.with_adapter["parse"].get("values") or ()
    half = len(evidence.parse_texts) // 2
    bare, led = (
        [
            is_number(value, numerals(text)[-1])
            for text, value in zip(evidence.parse_texts[i:j], values[i:j], strict=False)
        ]
        for i, j in ((0, half), (half, 2 * half))
    )
    if not values or any(bare) or not all(led):
        return ""
    lead = evidence.convention.markup if evidence.convention else ""
    return f", though it reads {evidence.parse_texts[half]!r}: it wants {lead!r}, which the prompt consumes"


def _parser_alone(evidence: Evidence) -> None:
    """What the parser makes of training's own texts, where no text of a generation reached it."""
    values = evidence.with_adapter["parse"].get("values") or ()
    texts = evidence.parse_texts
    if not values:
        raise Unavailable("there is no parser to be asked")
    half = len(texts) // 2
    ways = [
        [
            is_number(value, numerals(text)[-1])
            for text, value in zip(texts[i : i + half], values[i : i + half], strict=False)
        ]
        for i in (0, half)
    ]
    if not any(all(way) for way in ways):
        raise Failure(
            f"{values[0]} from {texts[0]!r}, {values[half]} from {texts[half]!r}", "the number of either text"
        )


CHECKS: tuple[Check, ...] = (
    numbers_are_parsed,
    silence_is_nan,
    signs_are_kept,
)
