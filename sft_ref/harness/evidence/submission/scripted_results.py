"""Results of scripted answers: how far the numbers that the model was forced to write got through the pipeline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.numerals import find_numerals, number, to_number
from sft_ref.harness.evidence.answering import Answers, CompletedRun, ScriptedAnswer
from sft_ref.harness.evidence.assignment import assign
from sft_ref.harness.evidence.texts import Generation
from sft_ref.harness.evidence.views import ParsedText, ReturnedAnswer
from sft_ref.reference.data import is_answer_valid

if TYPE_CHECKING:
    from sft_ref.harness.evidence import Evidence

SCRIPTED = ("together", "alone", "known")
"""Kinds of runs in which numbers are scripted."""


def count_scripted(evidence: Evidence) -> tuple[int, int, int]:
    """Counts the scripted numbers, those that reached the parser unchanged, and those that were returned."""
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
    """Returns the calls of one kind with scripted completions, with their results.

    Raises:
        Unavailable: the submission's answer format is unknown, or no such call was run.
        Blocked: nothing was loaded.
    """
    if evidence.examples.form is None:
        raise Unavailable("the format of its answers is unknown, so no answer can be scripted")
    if not evidence.loaded.is_loaded:
        raise Blocked("nothing was loaded")
    found = [
        CompletedRun(run.kind, run.lines, _parsed_by_line(run.lines, run.answers))
        for run in evidence.generations.scripted
        if run.kind == kind and run.answers is not None
    ]
    if not found:
        ended = evidence.loaded.process.ended_early
        raise Unavailable(f"no scripted generation was run ({kind}){ended and f': {ended}'}")
    return found


def _parsed_by_line(lines: Sequence[ScriptedAnswer], answers: Answers) -> Answers:
    """Returns answers with the parsed texts in the order of the lines, if every value is that of its line."""
    values, parsed = answers.values or (), answers.parsed
    if not len(values) == len(parsed) == len(lines):
        return answers
    if not all(is_number(value, line.numeral) for value, line in zip(values, lines, strict=True)):
        return answers
    places = assign([text for text, _ in parsed], [line.numeral for line in lines], _holds)
    return answers if places is None else replace(answers, parsed=tuple(parsed[place] for place in places))


_IS_CUT = "the answer is cut off"
"""Prefix of the fault message if generation was stopped within the answer."""


def follow_scripts(evidence: Evidence, kind: str, *, past_the_parser: bool = False) -> Iterator[ReturnedAnswer]:
    """Yields the result of each script of one kind.

    With `past_the_parser`, a returned value that differs from the parsed one is a fault, too.

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
    """Returns the texts with a scripted number that reached the parser unchanged; empty if no script was run.

    Raises:
        Unavailable: the submission's answer format is unknown.
        Blocked: nothing was loaded.
        Failure: the parser raises an exception.
    """
    found = []
    for run in (run for kind in SCRIPTED for run in _attempted(evidence, kind)):
        raise_for_crash(run.answers, parser=True)
        values, parsed, places = run.answers.values or (), run.answers.parsed, range(len(run.lines))
        if len(values) != len(places) or any(fault_of_generation(evidence, run, place) for place in places):
            continue  # one cut or swapped text casts doubt on the others
        for place, line in enumerate(run.lines):
            text, given = parsed[place] if len(parsed) == len(places) else (line.numeral, values[place])
            found.append(ParsedText(text, given, line.numeral, is_number(given, line.numeral), line.question))
    return found


def _attempted(evidence: Evidence, kind: str) -> list[CompletedRun]:
    """Like `completed_scripts`, but returns an empty list if no such call was run."""
    try:
        return completed_scripts(evidence, kind)
    except Unavailable:
        if evidence.examples.form is None:
            raise
        return []


def parsed_alone(evidence: Evidence) -> tuple[list[ParsedText], list[ParsedText]]:
    """Returns training answers parsed by the parser alone: from the number on, and with the text before it.

    Both lists are empty if no parser can be called.
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
    """Whether the parser reads answers as in training, but not after the template that the model generates."""
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
    """Raises Failure if the parser raised an exception (`parser=True`), or the code before it did."""
    crash = answers.crash if answers else None
    if crash and crash.is_of_parser == parser:
        raise Failure(
            f"{'the parser' if parser else 'the code'} raises {crash.type}: {crash.message}",
            "no exception",
            crash.place,
        )


def fault_of_generation(  # noqa: PLR0911  # one return for each kind of fault
    evidence: Evidence, run: CompletedRun, place: int
) -> str:
    """Describes the fault of the text for one line of a script; empty if the text contains the number."""
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
    """Describes a returned answer that differs from the parser's value; empty if it does not differ."""
    texts, values = run.answers.parsed, run.answers.values or ()
    if len(texts) != len(run.lines) or len(values) != len(texts):
        return ""
    parsed, value = number(texts[place][1]), number(values[place])
    same = parsed == value or (math.isnan(parsed) and math.isnan(value)) or is_answer_valid(value, parsed)
    return "" if same else f"{value} comes back, where the parser gave {parsed}"


def is_looked_up(evidence: Evidence) -> bool:
    """Whether some answers do not depend on the model's completion."""
    return any(
        fault_of_generation(evidence, run, place) or fault_past_the_parser(run, place)
        for run in completed_scripts(evidence, "known")
        for place in range(len(run.lines))
    )


def is_lossy(evidence: Evidence) -> bool:
    """Whether any number that the model writes is not returned."""
    return any(
        not is_number(value, line.numeral)
        for run in completed_scripts(evidence, "together")
        for line, value in zip(run.lines, run.answers.values or (), strict=False)
    )


def _fault_around(evidence: Evidence, generation: Generation, line: ScriptedAnswer, text: str) -> str:
    """Describes a fault around the number: a text that begins within the prompt, or lacks the closing text."""
    if any(text.startswith(line.prompt[at:]) for at in range(1, line.question_end)):
        return f"{text[-120:]!r} comes back, which begins in the middle of the prompt"
    closing = evidence.examples.form.closing if evidence.examples.form else ""
    return f"{_IS_CUT} before {closing!r}: {text[-120:]!r}" if closing and closing not in generation.text else ""


def _cut(numeral: str, text: str) -> str:
    """Returns a prefix for the fault message if generation was stopped within the number; else an empty text."""
    begun = text.strip()
    return f"{_IS_CUT}: " if begun and numeral not in text and numeral.startswith(_tail(begun)) else ""


def _tail(text: str) -> str:
    found = find_numerals(text)
    return found[-1] if found else text


def _holds(text: str, numeral: str) -> bool:
    return any(is_number(found, numeral) for found in find_numerals(text))


def is_number(value: object, numeral: str) -> bool:
    """Whether a value equals the number that a numeral denotes, up to rounding that loses no answer."""
    given, due = number(str(value).replace(",", "").replace("_", "")), to_number(numeral)
    return not math.isnan(given) and is_answer_valid(given, due)
