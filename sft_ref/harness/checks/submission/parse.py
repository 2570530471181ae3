"""Checks of parse: texts that hold the number said, or none, and what it makes of them."""

from __future__ import annotations

import math

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.instruments.answering import number
from sft_ref.harness.instruments.numerals import find_numerals
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.prompts import gap_of
from sft_ref.harness.recorders.submission.scripted_results import (
    ScriptedResult,
    fault_of_generation,
    is_looked_up,
    is_number,
    is_of_parser,
    is_template_parsed_wrongly,
    parsed_alone,
    raise_for_crash,
    told_scripts,
)


@check(
    "PRS-101",
    "The parser returns the number that the text contains",
    why="A parser that requires what the prompt has already consumed, or that reads another number, loses every"
    " answer.",
    remedy="Parse what generation returns: the text after the prompt.",
    source="S2",
    core=True,
)
def numbers_are_parsed(evidence: Evidence) -> None:
    """PRS-101: texts that hold the number said, and what it makes of them; or else training's own texts."""
    if (gap := gap_of(evidence)) and is_template_parsed_wrongly(evidence):
        raise Blocked(f"the prompts leave out {gap!r}, which the model then writes: PRM-101 says so")
    seen = False
    for script, told in [each for kind in ("together", "alone", "known") for each in _told(evidence, kind)]:
        raise_for_crash(told, parser=True)
        texts, values = told.get("parsed_texts", ()), told.get("values", ())
        places = range(len(script["lines"]))
        if len(values) != len(places) or any(fault_of_generation(evidence, script, told, place) for place in places):
            continue  # one text that is cut or mixed up makes its neighbours doubtful
        for place, line in enumerate(script["lines"]):
            given = texts[place][1] if len(texts) == len(places) else values[place]
            seen = True
            if not is_number(given, line["numeral"]):
                text = texts[place][0] if len(texts) == len(places) else line["numeral"]
                found = f"{given} from {text[-120:]!r}{_what_it_wants(evidence)}"
                raise Failure(found, line["numeral"], line["question"])
    if not seen:
        _parser_alone(evidence)


def _told(evidence: Evidence, kind: str) -> list[ScriptedResult]:
    """As `told_scripts`; empty where nothing came of them."""
    try:
        return told_scripts(evidence, kind)
    except Unavailable:
        if evidence.convention is None:
            raise
        return []


@check(
    "PRS-102",
    "The parser returns NaN if there is no answer",
    why="A constant, or a stored answer, in place of NaN counts unanswered questions as answered.",
    remedy='Return float("nan") if there is no number.',
    source="S4",
)
def silence_is_nan(evidence: Evidence) -> None:
    """PRS-102: the model says that it has no idea."""
    asked = 0
    for script, told in told_scripts(evidence, "silent"):
        crash = told.get("crash")
        if crash and is_of_parser(crash):
            raise Failure(f"{crash['type']}: {crash['message']}", "NaN", crash["where"])
        values, texts = told.get("values", ()), told.get("parsed_texts", ())
        for place, (line, value) in enumerate(zip(script["lines"], values, strict=False)):
            if len(texts) == len(values) and find_numerals(texts[place][0]):
                continue  # generation's matter
            asked += 1
            if is_looked_up(evidence):  # then the parser is judged by what it gives, if it was asked
                value = texts[place][1] if len(texts) == len(values) else math.nan  # noqa: PLW2901
            if not math.isnan(number(value)):
                raise Failure(f"{value}", "NaN", f"{line['question']!r}, answered with ' no idea at all'")
    if not asked:
        raise Unavailable("no answer came back when the model gave no number")


@check(
    "PRS-103",
    "The parser keeps the sign of negative numbers",
    level=Level.CONTRACT,
    why="The data has no negative answers, but a temperature may be one.",
    remedy="Let the parser accept a sign.",
    depends_on=("PRS-101",),
)
def signs_are_kept(evidence: Evidence) -> None:
    """PRS-103: one number."""
    for script, told in told_scripts(evidence, "negative"):
        if len(told.get("values", ())) != len(script["lines"]):
            raise Unavailable("no answer came back when the model said a negative number")
        for place, (line, value) in enumerate(zip(script["lines"], told["values"], strict=True)):
            if fault_of_generation(evidence, script, told, place):
                raise Blocked("the negative number did not reach the parser")
            if not is_number(value, line["numeral"]):
                raise Failure(str(value), line["numeral"], line["question"])


def _what_it_wants(evidence: Evidence) -> str:
    """Names both ends where the parser reads a training text from the number's lead on, and not from the number on."""
    try:
        bare, led = parsed_alone(evidence)
    except Unavailable:
        return ""
    if any(bare) or not all(led):
        return ""
    lead = evidence.convention.markup if evidence.convention else ""
    text = evidence.parse_texts[len(bare)]
    return f", though it reads {text!r}: it wants {lead!r}, which the prompt consumes"


def _parser_alone(evidence: Evidence) -> None:
    """What the parser makes of training's own texts, where no text of a generation reached it."""
    bare, led = parsed_alone(evidence)
    if not all(bare) and not all(led):
        values, texts = evidence.with_adapter["parse"]["values"], evidence.parse_texts
        seen = f"{values[0]} from {texts[0]!r}, {values[len(bare)]} from {texts[len(bare)]!r}"
        raise Failure(seen, "the number of either text")


CHECKS: tuple[Check, ...] = (
    numbers_are_parsed,
    silence_is_nan,
    signs_are_kept,
)
