"""Checks of generate, parse and score: with a script in the model's mouth, what comes of each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sft_ref.data import Row, is_answer_valid
from sft_ref.harness.check import Check, Level, check
from sft_ref.harness.findings import Blocked, Failure, Unavailable
from sft_ref.harness.submission.answering import is_better, number, right
from sft_ref.harness.submission.checks.loading import told_with_adapter
from sft_ref.harness.submission.convention import decode, find_prompt, find_question, numerals, to_number
from sft_ref.harness.submission.evidence import Evidence
from sft_ref.harness.submission.scripts import Script

_TOUCHED = 0.01
"""Share of the data's answers from which on a number that cannot be written is more than an edge."""
_FIGURE = 0.011
"""What rounding a figure to two decimals explains."""

Dictated = tuple[Script, Mapping[str, Any]]


@check(
    "GEN-101",
    "every number that the model says comes back whole, for its own question",
    why="A short budget, a ban on repetition, wrong slices or another order lose numbers that the model knows.",
    remedy="Allow 32 new tokens, change no logits, pad on the left, cut at the padded length, keep the order.",
    source="S8",
)
def numbers_come_back(evidence: Evidence) -> None:
    """GEN-101: invented units, whose answers stand nowhere; what reaches the parser counts, not what it makes of it."""
    for script, told in [*_told(evidence, "together"), *_told(evidence, "alone")]:
        _raise_for_crash(told, parser=False)
        for place, line in enumerate(script["lines"]):
            fault = _fault_of_generation(evidence, script, told, place)
            if fault:
                if fault.startswith("cut") and _share(evidence, len(line["numeral"])) < _TOUCHED:
                    continue
                case = f"{line['question']!r} among {len(script['lines'])} questions"
                raise Failure(fault, f"a text with {line['numeral']}", case)


@check(
    "GEN-102",
    "the answer to a question of the data is the model's, too",
    why="A number that is looked up or computed elsewhere shows nothing of what was trained.",
    remedy="Return what the model generates.",
    after=("GEN-101",),
    source="S5",
)
def answers_are_the_models(evidence: Evidence) -> None:
    """GEN-102: wrong numbers are said, for questions that it was given and for such as it was not."""
    for kind in ("known", "together"):
        for script, told in _told(evidence, kind):
            _raise_for_crash(told, parser=False)
            for place, line in enumerate(script["lines"]):
                fault = _fault_of_generation(evidence, script, told, place) or _fault_past_the_parser(
                    script, told, place
                )
                if fault and not fault.startswith("cut"):
                    raise Failure(fault, f"{line['numeral']}, as the model says", line["question"])


@check(
    "GEN-103",
    "answering runs",
    why="What crashes answers nothing.",
    remedy="Mend the line that is named.",
)
def answering_runs(evidence: Evidence) -> None:
    """GEN-103: fresh questions, in one call, as a benchmark asks them."""
    told = told_with_adapter(evidence)
    if "load" not in told.sections or told.crash("load"):
        raise Blocked("nothing was loaded")
    _raise_for_crash(told["answers"], parser=False)
    if "answers" not in told.sections or "score" not in told.sections:
        raise Failure(f"answering {told.ended_early}", "answers", told.finished.output[-300:])
    values = told["answers"].get("values", ())
    if len(values) != len(evidence.asked_rows) and "crash" not in told["answers"]:
        raise Failure(f"{len(values)} answers", f"{len(evidence.asked_rows)}, one a question")


@check(
    "GEN-104",
    "questions are answered as well together as alone",
    why="Padding that is attended to, or on the wrong side, turns the shorter rows of a batch into garbage.",
    remedy="Pad on the left, and pass the attention mask.",
    after=("GEN-103",),
    source="G1",
)
def batches_are_answered_as_well(evidence: Evidence) -> None:
    """GEN-104: the first fresh questions once more, one at a time."""
    told = told_with_adapter(evidence)
    alone = _told(evidence, "unscripted")
    if not alone or "values" not in told["answers"]:
        raise Unavailable("nothing was asked alone")
    rows = evidence.questions[: len(alone)]
    single = right([next(iter(each.get("values", ())), math.nan) for _, each in alone], rows)
    together = right(told["answers"]["values"], rows)
    lost = [question for (question, _), a, b in zip(rows, single, together, strict=True) if a and not b]
    if len(lost) >= 3 and not any(b and not a for a, b in zip(single, together, strict=True)):  # noqa: PLR2004
        raise Failure(
            f"{len(lost)} of {len(rows)} right alone, and wrong among {len(evidence.asked_rows)}", "none", lost[0]
        )


@check(
    "GEN-105",
    "nothing but the model chooses the tokens",
    why="Sampling, or a penalty, changes answers that the model is sure of.",
    remedy="do_sample=False and no penalty, also where the base's generation_config has them.",
    after=("GEN-103",),
)
def tokens_are_the_likeliest(evidence: Evidence) -> None:
    """GEN-105: tokens that were not the likeliest. Where answers are as good as they can be, nothing is lost."""
    off, said = _off(evidence)
    told = told_with_adapter(evidence)
    if not off or evidence.is_good or evidence.sound_model is None:
        return
    own = right(evidence.answers(told), evidence.questions)
    model = evidence.trained_model if told is evidence.asked else evidence.sound_model
    ours = right(evidence.our_answers(model), evidence.questions)
    if is_better(ours, own) and is_better(ours, evidence.said_right(told)):
        raise Failure(
            f"{off} of {said} tokens were not the likeliest; {sum(own)} answers right, {sum(ours)} by ours", "none"
        )


@check(
    "GEN-106",
    "at temperature 0 every token is the likeliest",
    level=Level.CONTRACT,
    why="Answers that are drawn cannot be repeated.",
    remedy="do_sample=False and no penalty, also where the base's generation_config has them.",
    after=("GEN-105",),
)
def generation_is_greedy(evidence: Evidence) -> None:
    """GEN-106: of the tokens said in answer to fresh questions, a few near ties aside."""
    off, said = _off(evidence)
    if off > 0.01 * said:
        raise Failure(f"{off} of {said} tokens were not the likeliest", "none")


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
    for script, told in [*_told(evidence, "together"), *_told(evidence, "alone"), *_told(evidence, "known")]:
        _raise_for_crash(told, parser=True)
        places = range(len(script["lines"]))
        if any(_fault_of_generation(evidence, script, told, place) for place in places):
            continue  # one text that is cut or mixed up makes its neighbours doubtful
        for place, line in enumerate(script["lines"]):
            texts, values = told.get("texts", ()), told.get("values", ())
            given = texts[place][1] if len(texts) == len(script["lines"]) else values[place]
            seen = True
            if not _is(given, line["numeral"]):
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
    for script, told in _told(evidence, "silent"):
        crash = told.get("crash")
        if crash and _is_of_parser(crash):
            raise Failure(f"{crash['type']}: {crash['message']}", "NaN", crash["where"])
        values, texts = told.get("values", ()), told.get("texts", ())
        for place, (line, value) in enumerate(zip(script["lines"], values, strict=False)):
            if len(texts) == len(values) and numerals(texts[place][0]):
                continue  # generation's matter
            if _is_looked_up(evidence):  # then the parser is judged by what it gives, if it was asked
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
    for script, told in _told(evidence, "negative"):
        for line, value in zip(script["lines"], told.get("values", ()), strict=False):
            if not _is(value, line["numeral"]):
                raise Failure(str(value), line["numeral"], line["question"])


@check(
    "SCR-101",
    "the figures reported are those of the answers",
    why="Figures that count otherwise cannot be compared, and hide that nothing is answered.",
    remedy="Count over all questions: right within 5 %, answered if not NaN.",
    source="S4",
)
def figures_are_those_of_the_answers(evidence: Evidence) -> None:
    """SCR-101: of a run in which right, wrong and silent answers are laid down; recounted from what it answered."""
    section = told_with_adapter(evidence)["score"]
    figures = section.get("figures", {})
    rows, values = _given(evidence, section)
    if not rows or all(figure is None for figure in figures.values()):
        raise Unavailable("it reports no figures of answers that were seen")
    due = {
        "accuracy": sum(right(values, rows)) / len(rows),
        "answer_rate": sum(not math.isnan(value) for value in values) / len(rows),
    }
    for name, share in due.items():
        figure = number(figures.get(name))
        if figures.get(name) is not None and not abs(figure - share) <= _FIGURE:
            raise Failure(f"{name} {figure:.3f}", f"{share:.3f}, counted from its answers", f"{len(rows)} questions")


def _given(evidence: Evidence, section: Mapping[str, Any]) -> tuple[list[Row], list[float]]:
    """Questions of its benchmark, and its answers: as they were seen, or else as they were laid down."""
    truths = {question.strip(): value for question, value in [*evidence.unseen, *evidence.rows]}
    seen = [(str(question).strip(), number(value)) for question, value in section.get("given", ())]
    if seen:
        known = [(question, value) for question, value in seen if question in truths]
        return [(question, truths[question]) for question, _ in known], [value for _, value in known]
    if _is_lossy(evidence):
        return [], []
    prompts = [decode(evidence.tokenizer, ids) for ids in section.get("heard", ())]
    laid = zip(evidence.unseen, evidence.score_lines, strict=False)
    asked = [(row, line) for row, line in laid if any(find_question(row[0], prompt) for prompt in prompts)]
    return [row for row, _ in asked], [to_number(line["numeral"]) for _, line in asked]


def _is_lossy(evidence: Evidence) -> bool:
    """Whether numbers that the model says do not come back."""
    return any(
        not _is(value, line["numeral"])
        for script, told in _told(evidence, "together")
        for line, value in zip(script["lines"], told.get("values", ()), strict=False)
    )


@check(
    "SCR-102",
    "testing runs",
    level=Level.CONTRACT,
    why="Who cannot test sees no fault.",
    remedy="Mend the line that is named.",
)
def testing_runs(evidence: Evidence) -> str | None:
    """SCR-102: with the adapter's folder. Advice, since what it takes besides is not known here."""
    crash = told_with_adapter(evidence).crash("score")
    return f"{crash['type']}: {crash['message'][:200]} in {crash['where']}" if crash else None


def count_scripted(evidence: Evidence) -> tuple[int, int, int]:
    """Numbers that the model was made to say; those that reached the parser whole; those that were answered."""
    if evidence.convention is None or not told_with_adapter(evidence)["load"]:
        return 0, 0, 0
    lines = [
        (script, told, place)
        for kind in ("together", "alone", "known")
        for script, told in _told(evidence, kind)
        for place in range(len(told.get("values", ())))
    ]
    whole = sum(not _fault_of_generation(evidence, script, told, place) for script, told, place in lines)
    given = sum(_is(told["values"][place], script["lines"][place]["numeral"]) for script, told, place in lines)
    return len(lines), whole, given


def _told(evidence: Evidence, kind: str) -> list[Dictated]:
    if evidence.convention is None:
        raise Unavailable("how it writes an answer is not known, so that nothing can be laid into the model's mouth")
    told = told_with_adapter(evidence)
    if not told["load"] or told.crash("load"):
        raise Blocked("nothing was loaded")
    return evidence.told_scripts(told, kind)


def _raise_for_crash(told: Mapping[str, Any], *, parser: bool) -> None:
    crash = told.get("crash")
    if crash and _is_of_parser(crash) == parser:
        raise Failure(f"{crash['type']}: {crash['message']}", "no exception", crash["where"] or crash["trace"][-300:])


def _is_of_parser(crash: Mapping[str, Any]) -> bool:
    return any("parse" in str(name).lower() for name in crash.get("functions", ()))


def _fault_of_generation(  # noqa: PLR0911  # a list of ways to go wrong
    evidence: Evidence, script: Script, told: Mapping[str, Any], place: int
) -> str:
    """What is wrong with the text for a line of a script; empty where it holds the number."""
    line, values = script["lines"][place], told.get("values", ())
    if len(values) != len(script["lines"]):
        return "" if "crash" in told else f"{len(values)} answers for {len(script['lines'])} questions"
    texts = told.get("texts", ())
    heard = _heard(evidence, told, line["question"])
    if len(texts) == len(script["lines"]):
        if _holds(texts[place][0], line["numeral"]):
            lost = heard is not None and not _is(texts[place][1], line["numeral"])
            return _fault_around(evidence, heard, line, texts[place][0]) if heard and lost else ""
        other = next((each["numeral"] for each in script["lines"] if _holds(texts[place][0], each["numeral"])), None)
        if other:
            return f"{other}, which was said for another question"
        if not heard:
            return f"{texts[place][0][-120:]!r}, without asking the model"
        said = decode(evidence.tokenizer, heard["said"])
        return f"{_cut(line, said)}{texts[place][0][-120:]!r} where the model said {said[:120]!r}"
    if _is(values[place], line["numeral"]):
        return ""
    if not heard:
        return f"{values[place]}, without asking the model"
    said = decode(evidence.tokenizer, heard["said"])
    if not _holds(said, line["numeral"]):
        return f"{_cut(line, said)}{said[:120]!r}"
    others = [each["numeral"] for each in script["lines"] if _is(values[place], each["numeral"])]
    return f"{others[0]}, which was said for another question" if others else ""


def _fault_past_the_parser(script: Script, told: Mapping[str, Any], place: int) -> str:
    """An answer that is not what the parser made of the text."""
    texts, values = told.get("texts", ()), told.get("values", ())
    if len(texts) != len(script["lines"]) or len(values) != len(texts):
        return ""
    parsed, value = number(texts[place][1]), number(values[place])
    same = parsed == value or (math.isnan(parsed) and math.isnan(value)) or is_answer_valid(value, parsed)
    return "" if same else f"{value}, where the parser gave {parsed}"


def _is_looked_up(evidence: Evidence) -> bool:
    """Whether answers come from elsewhere whatever the model says."""
    return any(
        _fault_of_generation(evidence, script, told, place) or _fault_past_the_parser(script, told, place)
        for script, told in _told(evidence, "known")
        for place in range(len(script["lines"]))
    )


def _heard(evidence: Evidence, told: Mapping[str, Any], question: str) -> Mapping[str, Any] | None:
    heard = told.get("heard", ())
    place = find_prompt(question, [decode(evidence.tokenizer, row["prompt"]) for row in heard])
    return None if place is None else heard[place]


def _fault_around(evidence: Evidence, heard: Mapping[str, Any], line: Mapping[str, Any], text: str) -> str:
    """What is wrong around the number: a text that begins amid the prompt, or ends before what ends an answer."""
    said = decode(evidence.tokenizer, heard["said"])
    prompt = str(evidence.tokenizer.decode(heard["prompt"], skip_special_tokens=True))
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
    found = numerals(text)
    return found[-1] if found else text


def _holds(text: str, numeral: str) -> bool:
    return any(_is(found, numeral) for found in numerals(text))


def _is(value: object, numeral: str) -> bool:
    """Whether a value is the number that a numeral stands for, but for rounding that loses no answer."""
    given, due = number(str(value).replace(",", "").replace("_", "")), to_number(numeral)
    return not math.isnan(given) and is_answer_valid(given, due)


def _share(evidence: Evidence, length: int) -> float:
    """Share of the data's answers that are written as long."""
    written = [text.numeral for text in evidence.texts if text.is_answered]
    return sum(len(numeral) >= length for numeral in written) / max(1, len(written))


def _off(evidence: Evidence) -> tuple[int, int]:
    heard: Sequence[Mapping[str, Any]] = told_with_adapter(evidence)["answers"].get("heard", ())
    return sum(int(row.get("off", 0)) for row in heard), sum(len(row["said"]) for row in heard)


def _what_it_wants(evidence: Evidence) -> str:
    """Names both ends where the parser reads a training text from the number's lead on, and not from the number on."""
    values = told_with_adapter(evidence)["parse"].get("values") or ()
    half = len(evidence.parse_texts) // 2
    bare, led = (
        [_is(value, numerals(text)[-1]) for text, value in zip(evidence.parse_texts[i:j], values[i:j], strict=False)]
        for i, j in ((0, half), (half, 2 * half))
    )
    if not values or any(bare) or not all(led):
        return ""
    lead = evidence.convention.markup if evidence.convention else ""
    return f", though it reads {evidence.parse_texts[half]!r}: it wants {lead!r}, which the prompt consumes"


def _parser_alone(evidence: Evidence) -> None:
    """What the parser makes of training's own texts, where no text of a generation reached it."""
    values = told_with_adapter(evidence)["parse"].get("values") or ()
    texts = evidence.parse_texts
    if not values:
        raise Unavailable("there is no parser to be asked")
    half = len(texts) // 2
    ways = [
        [_is(value, numerals(text)[-1]) for text, value in zip(texts[i : i + half], values[i : i + half], strict=False)]
        for i in (0, half)
    ]
    if not any(all(way) for way in ways):
        raise Failure(
            f"{values[0]} from {texts[0]!r}, {values[half]} from {texts[half]!r}", "the number of either text"
        )


CHECKS: tuple[Check, ...] = (
    numbers_come_back,
    answers_are_the_models,
    answering_runs,
    batches_are_answered_as_well,
    tokens_are_the_likeliest,
    generation_is_greedy,
    numbers_are_parsed,
    silence_is_nan,
    signs_are_kept,
    figures_are_those_of_the_answers,
    testing_runs,
)
