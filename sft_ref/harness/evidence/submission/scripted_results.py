"""What became of scripted answers: how far the numbers came that the model was made to write."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.numerals import find_numerals, number, to_number
from sft_ref.harness.evidence.answering import Answers, CompletedRun, ScriptedAnswer
from sft_ref.harness.evidence.texts import Generation
from sft_ref.harness.evidence.views import ParsedText, ReturnedAnswer
from sft_ref.reference.data import is_answer_valid

if TYPE_CHECKING:
    from sft_ref.harness.evidence import Evidence

SCRIPTED = ("together", "alone", "known")
"""Kinds of runs in which numbers are scripted."""


def count_scripted(evidence: Evidence) -> tuple[int, int, int]:
    """Numbers that the model was made to write; those that reached the parser whole; those that were answered."""
    if evidence.examples.form is None or not evidence.loaded.was_reached:
        return 0, 0, 0
    lines = [
        (run, place)
        for kind in SCRIPTED
        for run in completed_scripts(evidence, kind)
        for place in range(len(run.answers.values or ()))
    ]
    whole = sum(not fault_of_generation(evidence, run, place) for run, place in lines)
    given = sum(is_number((run.answers.values or ())[place], run.lines[place].numeral) for run, place in lines)
    return len(lines), whole, given


def completed_scripts(evidence: Evidence, kind: str) -> list[CompletedRun]:
    """The calls of a kind with scripted completions, with what came of each.

    Raises:
        Unavailable: it is not known how it writes answers.
        Blocked: nothing was loaded.
    """
    if evidence.examples.form is None:
        raise Unavailable("how it writes an answer is not known, so that no answer can be scripted")
    if not evidence.loaded.is_loaded:
        raise Blocked("nothing was loaded")
    found = [
        CompletedRun(run.kind, run.lines, run.answers)
        for run in evidence.generations.scripted
        if run.kind == kind and run.answers is not None
    ]
    if not found:
        ended = evidence.loaded.process.ended_early
        raise Unavailable(f"no scripted generation was run ({kind}){ended and f': {ended}'}")
    return found


_IS_CUT = "the answer is cut off"
"""Begins the fault of an answer within which the model was stopped."""


def follow_scripts(evidence: Evidence, kind: str, *, past_the_parser: bool = False) -> Iterator[ReturnedAnswer]:
    """What came of the scripts of a kind; with what was put in the place of a parsed answer, where that is asked.

    Raises:
        Blocked, Unavailable: as `completed_scripts`.
        Failure: answering raises an exception.
    """
    lengths = [len(text.numeral) for text in evidence.examples.texts if text.is_answered]
    for run in completed_scripts(evidence, kind):
        raise_for_crash(run.answers, parser=False)
        for place, line in enumerate(run.lines):
            fault = fault_of_generation(evidence, run, place)
            if past_the_parser:
                fault = fault or fault_past_the_parser(run, place)
            share = sum(length >= len(line.numeral) for length in lengths) / max(1, len(lengths))
            is_cut = fault.startswith(_IS_CUT)
            yield ReturnedAnswer(line.question, line.numeral, len(run.lines), fault, is_cut, share)


def scripted_texts(evidence: Evidence) -> list[ParsedText]:
    """The texts with a scripted number that reached the parser whole; none where nothing came of the scripts.

    Raises:
        Unavailable: it is not known how it writes answers.
        Blocked: nothing was loaded.
        Failure: the parser raises an exception.
    """
    found = []
    for run in (run for kind in SCRIPTED for run in _attempted(evidence, kind)):
        raise_for_crash(run.answers, parser=True)
        values, parsed, places = run.answers.values or (), run.answers.parsed, range(len(run.lines))
        if len(values) != len(places) or any(fault_of_generation(evidence, run, place) for place in places):
            continue  # one text that is cut or mixed up makes its neighbours doubtful
        for place, line in enumerate(run.lines):
            text, given = parsed[place] if len(parsed) == len(places) else (line.numeral, values[place])
            found.append(ParsedText(text, given, line.numeral, is_number(given, line.numeral), line.question))
    return found


def _attempted(evidence: Evidence, kind: str) -> list[CompletedRun]:
    """As `completed_scripts`; empty where none was run."""
    try:
        return completed_scripts(evidence, kind)
    except Unavailable:
        if evidence.examples.form is None:
            raise
        return []


def parsed_alone(evidence: Evidence) -> tuple[list[ParsedText], list[ParsedText]]:
    """Training's answers, read by the parser alone: from the number on, and with what leads to it.

    Both are empty where no parser can be called.
    """
    values, texts = evidence.parsed.values, evidence.parsed.texts
    if len(values) != len(texts):
        return [], []
    read = [
        ParsedText(text, value, numeral, is_number(value, numeral))
        for text, value in zip(texts, values, strict=True)
        for numeral in find_numerals(text)[-1:]
    ]
    half = len(read) // 2
    return read[:half], read[half:]


def is_template_parsed_wrongly(evidence: Evidence) -> bool:
    """Whether its parser reads answers as training wrote them, but not behind the template that its model writes."""
    bare, _ = parsed_alone(evidence)
    try:
        runs = completed_scripts(evidence, "together")
    except (Unavailable, Blocked):
        return False
    read = [
        is_number(value, line.numeral)
        for run in runs
        if len(run.answers.parsed) == len(run.lines)
        for (text, value), line in zip(run.answers.parsed, run.lines, strict=True)
        if _holds(text, line.numeral)
    ]
    return bool(bare) and all(each.is_right for each in bare) and bool(read) and not any(read)


def raise_for_crash(answers: Answers | None, *, parser: bool) -> None:
    """Raises Failure where its parser crashed, or else where something before it did."""
    crash = answers.crash if answers else None
    if crash and crash.is_of_parser == parser:
        raise Failure(
            f"{'the parser' if parser else 'the code'} raises {crash.type}: {crash.message}",
            "no exception",
            crash.place,
        )


def fault_of_generation(  # noqa: PLR0911  # a list of ways to go wrong
    evidence: Evidence, run: CompletedRun, place: int
) -> str:
    """What is wrong with the text for a line of a script; empty where it holds the number."""
    line, values, parsed = run.lines[place], run.answers.values or (), run.answers.parsed
    if len(values) != len(run.lines):
        return "" if run.answers.crash else f"{len(values)} answers come back for {len(run.lines)} questions"
    generation = None if line.generation is None else run.answers.generations[line.generation]
    if len(parsed) == len(run.lines):
        text, value = parsed[place]
        if _holds(text, line.numeral):
            lost = generation is not None and not is_number(value, line.numeral)
            return _fault_around(evidence, generation, line, text) if generation and lost else ""
        other = next((each.numeral for each in run.lines if _holds(text, each.numeral)), None)
        if other:
            return f"{other} comes back, which the model wrote for another question"
        if not generation:
            return f"{text[-120:]!r} comes back, and the model was not asked"
        came = f"{text[-120:]!r} comes back where the model wrote {generation.text[:120]!r}"
        return f"{_cut(line.numeral, generation.text)}{came}"
    if is_number(values[place], line.numeral):
        return ""
    if not generation:
        return f"{values[place]} comes back, and the model was not asked"
    if not _holds(generation.text, line.numeral):
        return f"{_cut(line.numeral, generation.text)}the model writes {generation.text[:120]!r}"
    others = [each.numeral for each in run.lines if is_number(values[place], each.numeral)]
    return f"{others[0]} comes back, which the model wrote for another question" if others else ""


def fault_past_the_parser(run: CompletedRun, place: int) -> str:
    """An answer that is not what the parser made of the text."""
    texts, values = run.answers.parsed, run.answers.values or ()
    if len(texts) != len(run.lines) or len(values) != len(texts):
        return ""
    parsed, value = number(texts[place][1]), number(values[place])
    same = parsed == value or (math.isnan(parsed) and math.isnan(value)) or is_answer_valid(value, parsed)
    return "" if same else f"{value} comes back, where the parser gave {parsed}"


def is_looked_up(evidence: Evidence) -> bool:
    """Whether answers come from elsewhere whatever the model says."""
    return any(
        fault_of_generation(evidence, run, place) or fault_past_the_parser(run, place)
        for run in completed_scripts(evidence, "known")
        for place in range(len(run.lines))
    )


def is_lossy(evidence: Evidence) -> bool:
    """Whether numbers that the model writes do not come back."""
    return any(
        not is_number(value, line.numeral)
        for run in completed_scripts(evidence, "together")
        for line, value in zip(run.lines, run.answers.values or (), strict=False)
    )


def _fault_around(evidence: Evidence, generation: Generation, line: ScriptedAnswer, text: str) -> str:
    """What is wrong around the number: a text that begins amid the prompt, or ends before what ends an answer."""
    if any(text.startswith(line.prompt[at:]) for at in range(1, line.question_end)):
        return f"{text[-120:]!r} comes back, which begins amid the prompt"
    closing = evidence.examples.form.closing if evidence.examples.form else ""
    return f"{_IS_CUT} before {closing!r}: {text[-120:]!r}" if closing and closing not in generation.text else ""


def _cut(numeral: str, text: str) -> str:
    """Says so where the model was stopped within the number."""
    begun = text.strip()
    return f"{_IS_CUT}: " if begun and numeral not in text and numeral.startswith(_tail(begun)) else ""


def _tail(text: str) -> str:
    found = find_numerals(text)
    return found[-1] if found else text


def _holds(text: str, numeral: str) -> bool:
    return any(is_number(found, numeral) for found in find_numerals(text))


def is_number(value: object, numeral: str) -> bool:
    """Whether a value is the number that a numeral stands for, but for rounding that loses no answer."""
    given, due = number(str(value).replace(",", "").replace("_", "")), to_number(numeral)
    return not math.isnan(given) and is_answer_valid(given, due)
