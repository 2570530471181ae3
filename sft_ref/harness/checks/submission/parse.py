"""Checks of parse: texts with a scripted number, or with none, and the values that the parser returns."""

from __future__ import annotations

import math

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.numerals import find_numerals, number
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.answering import CompletedRun
from sft_ref.harness.evidence.submission.scripted_results import (
    completed_scripts,
    fault_of_generation,
    is_looked_up,
    is_number,
    is_template_parsed_wrongly,
    parsed_alone,
    raise_for_crash,
)
from sft_ref.harness.evidence.submission.wording import left_out_template


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
    """PRS-101: texts with a scripted number, or else the training texts."""
    gap = left_out_template(evidence.prompts, evidence.examples)
    if gap and is_template_parsed_wrongly(evidence):
        raise Blocked(f"the prompts leave out {gap!r}, which the model then writes: PRM-101 says so")
    seen = False
    for run in [each for kind in ("together", "alone", "known") for each in _told(evidence, kind)]:
        raise_for_crash(run.answers, parser=True)
        values, parsed, places = run.answers.values or (), run.answers.parsed, range(len(run.lines))
        if len(values) != len(places) or any(fault_of_generation(evidence, run, place) for place in places):
            continue  # one text that is cut or mixed up makes its neighbours doubtful
        for place, line in enumerate(run.lines):
            text, given = parsed[place] if len(parsed) == len(places) else (line.numeral, values[place])
            seen = True
            if not is_number(given, line.numeral):
                found = f"the parser returns {given} for {text[-120:]!r}{_what_it_requires(evidence)}"
                raise Failure(found, line.numeral, line.question)
    if not seen:
        _parser_alone(evidence)


def _told(evidence: Evidence, kind: str) -> list[CompletedRun]:
    """As `completed_scripts`; empty where nothing came of them."""
    try:
        return completed_scripts(evidence, kind)
    except Unavailable:
        if evidence.examples.form is None:
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
    for run in completed_scripts(evidence, "silent"):
        crash, values, parsed = run.answers.crash, run.answers.values or (), run.answers.parsed
        if crash and crash.is_of_parser:
            raise Failure(f"{crash.type}: {crash.message}", "NaN", crash.where)
        for place, (line, value) in enumerate(zip(run.lines, values, strict=False)):
            if len(parsed) == len(values) and find_numerals(parsed[place][0]):
                continue  # generation's matter
            asked += 1
            if is_looked_up(evidence):  # then the parser is judged by what it gives, if it was asked
                value = parsed[place][1] if len(parsed) == len(values) else math.nan  # noqa: PLW2901
            if not math.isnan(number(value)):
                raise Failure(f"{value}", "NaN", f"{line.question!r}, answered with ' no idea at all'")
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
    for run in completed_scripts(evidence, "negative"):
        values = run.answers.values or ()
        if len(values) != len(run.lines):
            raise Unavailable("no answer came back when the script had a negative number")
        for place, (line, value) in enumerate(zip(run.lines, values, strict=True)):
            if fault_of_generation(evidence, run, place):
                raise Blocked("the negative number did not reach the parser")
            if not is_number(value, line.numeral):
                raise Failure(str(value), line.numeral, line.question)


def _what_it_requires(evidence: Evidence) -> str:
    """Names both ends where the parser reads a training text from the number's lead on, and not from the number on."""
    try:
        bare, led = parsed_alone(evidence)
    except Unavailable:
        return ""
    if any(bare) or not all(led):
        return ""
    lead = evidence.examples.form.markup if evidence.examples.form else ""
    return f": it requires {lead!r}, which the prompt has already consumed"


def _parser_alone(evidence: Evidence) -> None:
    """What the parser makes of training's own texts, where no text of a generation reached it."""
    bare, led = parsed_alone(evidence)
    if not all(bare) and not all(led):
        values, texts = evidence.parsed.values, evidence.parsed.texts
        seen = f"{values[0]} from {texts[0]!r}, {values[len(bare)]} from {texts[len(bare)]!r}"
        raise Failure(seen, "the number of either text")
