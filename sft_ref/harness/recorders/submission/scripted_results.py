"""What became of scripted answers: how far the numbers came that the model was made to write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.instruments.answering import number
from sft_ref.harness.instruments.convention import decode, find_prompt, find_question
from sft_ref.harness.instruments.numerals import find_numerals, to_number
from sft_ref.reference.data import is_answer_valid

from .evidence import Evidence
from .scripts import ScriptedCall

ScriptedResult = tuple[ScriptedCall, Mapping[str, Any]]


def count_scripted(evidence: Evidence) -> tuple[int, int, int]:
    """Numbers that the model was made to write; those that reached the parser whole; those that were answered."""
    if evidence.convention is None or not evidence.with_adapter["load"]:
        return 0, 0, 0
    lines = [
        (script, told, place)
        for kind in ("together", "alone", "known")
        for script, told in told_scripts(evidence, kind)
        for place in range(len(told.get("values", ())))
    ]
    whole = sum(not fault_of_generation(evidence, script, told, place) for script, told, place in lines)
    given = sum(is_number(told["values"][place], script["lines"][place]["numeral"]) for script, told, place in lines)
    return len(lines), whole, given


def told_scripts(evidence: Evidence, kind: str) -> list[ScriptedResult]:
    """Each scripted call of a kind, and what came of it.

    Raises:
        Unavailable: it is not known how it writes answers.
        Blocked: nothing was loaded.
    """
    if evidence.convention is None:
        raise Unavailable("how it writes an answer is not known, so that no answer can be scripted")
    told = evidence.with_adapter
    if not told["load"] or told.crash("load"):
        raise Blocked("nothing was loaded")
    found = [(script, each) for script, each in evidence.told_scripts(told, kind) if each]
    if not found:
        raise Unavailable(f"no scripted generation was run ({kind}){told.ended_early and f': {told.ended_early}'}")
    return found


def parsed_alone(evidence: Evidence) -> tuple[list[bool], list[bool]]:
    """Whether its parser, called by itself, reads training's answers: from the number on, and with what leads to it.

    Raises:
        Unavailable: it has no parser that can be called.
    """
    values, texts = list(evidence.with_adapter["parse"].get("values") or ()), evidence.parse_texts
    if not values or len(values) != len(texts):
        raise Unavailable("there is no parser to be asked")
    read = [is_number(value, find_numerals(text)[-1]) for text, value in zip(texts, values, strict=True)]
    half = len(read) // 2
    return read[:half], read[half:]


def is_template_parsed_wrongly(evidence: Evidence) -> bool:
    """Whether its parser reads answers as training wrote them, but not behind the template that its model writes."""
    try:
        bare, _ = parsed_alone(evidence)
        told = told_scripts(evidence, "together")
    except (Unavailable, Blocked):
        return False
    read = [
        is_number(text[1], line["numeral"])
        for script, each in told
        if len(each.get("parsed_texts", ())) == len(script["lines"])
        for text, line in zip(each["parsed_texts"], script["lines"], strict=True)
        if _holds(text[0], line["numeral"])
    ]
    return all(bare) and bool(read) and not any(read)


def raise_for_crash(told: Mapping[str, Any], *, parser: bool) -> None:
    """Raises Failure where its parser crashed, or else where something before it did."""
    crash = told.get("crash")
    if crash and is_of_parser(crash) == parser:
        raise Failure(f"{crash['type']}: {crash['message']}", "no exception", crash["where"] or crash["trace"][-300:])


def is_of_parser(crash: Mapping[str, Any]) -> bool:
    """Whether a crash came from within its parser."""
    return any("parse" in str(name).lower() for name in crash.get("functions", ()))


def fault_of_generation(  # noqa: PLR0911  # a list of ways to go wrong
    evidence: Evidence, script: ScriptedCall, told: Mapping[str, Any], place: int
) -> str:
    """What is wrong with the text for a line of a script; empty where it holds the number."""
    line, values = script["lines"][place], told.get("values", ())
    if len(values) != len(script["lines"]):
        return "" if "crash" in told else f"{len(values)} answers for {len(script['lines'])} questions"
    texts = told.get("parsed_texts", ())
    heard = _heard(evidence, told, line["question"])
    if len(texts) == len(script["lines"]):
        if _holds(texts[place][0], line["numeral"]):
            lost = heard is not None and not is_number(texts[place][1], line["numeral"])
            return _fault_around(evidence, heard, line, texts[place][0]) if heard and lost else ""
        other = next((each["numeral"] for each in script["lines"] if _holds(texts[place][0], each["numeral"])), None)
        if other:
            return f"{other}, which was said for another question"
        if not heard:
            return f"{texts[place][0][-120:]!r}, without asking the model"
        said = decode(evidence.tokenizer, heard["new_token_ids"])
        return f"{_cut(line, said)}{texts[place][0][-120:]!r} where the model said {said[:120]!r}"
    if is_number(values[place], line["numeral"]):
        return ""
    if not heard:
        return f"{values[place]}, without asking the model"
    said = decode(evidence.tokenizer, heard["new_token_ids"])
    if not _holds(said, line["numeral"]):
        return f"{_cut(line, said)}{said[:120]!r}"
    others = [each["numeral"] for each in script["lines"] if is_number(values[place], each["numeral"])]
    return f"{others[0]}, which was said for another question" if others else ""


def fault_past_the_parser(script: ScriptedCall, told: Mapping[str, Any], place: int) -> str:
    """An answer that is not what the parser made of the text."""
    texts, values = told.get("parsed_texts", ()), told.get("values", ())
    if len(texts) != len(script["lines"]) or len(values) != len(texts):
        return ""
    parsed, value = number(texts[place][1]), number(values[place])
    same = parsed == value or (math.isnan(parsed) and math.isnan(value)) or is_answer_valid(value, parsed)
    return "" if same else f"{value}, where the parser gave {parsed}"


def is_looked_up(evidence: Evidence) -> bool:
    """Whether answers come from elsewhere whatever the model says."""
    return any(
        fault_of_generation(evidence, script, told, place) or fault_past_the_parser(script, told, place)
        for script, told in told_scripts(evidence, "known")
        for place in range(len(script["lines"]))
    )


def _heard(evidence: Evidence, told: Mapping[str, Any], question: str) -> Mapping[str, Any] | None:
    heard = told.get("generations", ())
    place = find_prompt(question, [decode(evidence.tokenizer, row["prompt_ids"]) for row in heard])
    return None if place is None else heard[place]


def _fault_around(evidence: Evidence, heard: Mapping[str, Any], line: Mapping[str, Any], text: str) -> str:
    """What is wrong around the number: a text that begins amid the prompt, or ends before what ends an answer."""
    said = decode(evidence.tokenizer, heard["new_token_ids"])
    prompt = str(evidence.tokenizer.decode(heard["prompt_ids"], skip_special_tokens=True))
    asked = find_question(line["question"], prompt)
    if asked is not None and any(text.startswith(prompt[at:]) for at in range(1, asked.end())):
        return f"{text[-120:]!r}, which begins amid the prompt"
    closing = evidence.closing
    return f"cut off before {closing!r}: {text[-120:]!r}" if closing and closing not in said else ""


def _cut(line: Mapping[str, Any], said: str) -> str:
    """Says so where the model was stopped within the number."""
    begun = said.strip()
    return "cut off: " if begun and line["numeral"] not in said and line["numeral"].startswith(_tail(begun)) else ""


def _tail(text: str) -> str:
    found = find_numerals(text)
    return found[-1] if found else text


def _holds(text: str, numeral: str) -> bool:
    return any(is_number(found, numeral) for found in find_numerals(text))


def is_number(value: object, numeral: str) -> bool:
    """Whether a value is the number that a numeral stands for, but for rounding that loses no answer."""
    given, due = number(str(value).replace(",", "").replace("_", "")), to_number(numeral)
    return not math.isnan(given) and is_answer_valid(given, due)
