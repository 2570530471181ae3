"""Records the stage score: the figures that testing reports, and those counted from the answers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

from sft_ref.harness.core.findings import Failure, NotGiven, Unavailable
from sft_ref.harness.core.implementation import Answerer, Implementation, TaskRow
from sft_ref.harness.core.numerals import number
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.views import ReportedFigures
from sft_ref.harness.instruments.generation_recorder import (
    find_transformer,
    record_generation,
    scripted_model,
)
from sft_ref.harness.recorders.in_process.calls import call, fault_of
from sft_ref.harness.recorders.in_process.scripted_answers import ScriptRunner
from sft_ref.reference.data import is_answer_valid, score
from sft_ref.reference.prompt import CLOSE_TAG
from sft_ref.reference.questions import generate_rows

_SEED = 3
"""Seed of questions that are in no split, so that no implementation can have stored their answers."""

_MEDIUM, _SMALL, _LARGE = (10, 1e6), (0.1, 1), (1e7, 1e10)
"""Ranges of true answers: the rule that counts an answer as right has to hold in each of them."""

_SCRIPTED = (
    *((_MEDIUM, 1.0), (_SMALL, 1.0), (_LARGE, 0.951), (_MEDIUM, 1.048), (_SMALL, 0.97)),
    *((_SMALL, 1.08), (_LARGE, 0.92), (_MEDIUM, 1.051), (_MEDIUM, 1.052), (_MEDIUM, -1.0)),
)
"""Range of the true answer, and the answer that the model is made to give, relative to the truth: five are right. Three
lie on one side of 5 % relative to the truth, and on the other side relative to the answer; two of them are wrong."""

_FAR = (1.08, 0.92, -1.0)
"""Wrong answers whose every third sample is right: accuracy is too high if any right sample counts."""

_SILENT = 3
"""Number of additional questions that the model is made to leave unanswered."""

_MANY = 521
"""Number of rows to score: a prime, so that no batch size divides it."""

_TEXTS = (
    *(("Z\u00fcrich", "z\u00fcrich", True), ("two words", "Two  words.", True), ("no", "no", True)),
    *(("Paris", "not Paris", False), ("Paris", "Par", False), ("no", "no or yes", False), ("Paris", "", False)),
)
"""True answers that are texts, given ones, and whether they are right."""

_SIZES = (0.5, 7.25, 24.0, 123.0, 4567.0, 2.5e7)
_RIGHT, _WRONG = (0.951, 1.0, 1.048), (0.94, 1.052, 1.2, -1.0)
"""Sizes of true answers, and answers relative to them, of which all are right, or none is."""


def reported_figures(scripting: ScriptRunner, task: Task) -> ReportedFigures:
    """Compares the figures that testing reports with the answers to the same questions, while answers are scripted.

    Raises:
        NotGiven: the implementation reports no figures, or no answer is judged.
    """
    implementation, answerer = scripting.implementation, scripting.answerer
    _require_figures(implementation, task)
    rows = _unseen(task)
    pairs = zip(rows, _SCRIPTED, strict=False)
    lines = scripting.write([(question, _scaled(task, truth, factor)) for (question, truth), (_, factor) in pairs])
    right_scripts = [line.script for line in scripting.write(rows[: len(lines)])]
    scripts = [
        replace(line.script, third=third if factor in _FAR else None)
        for line, third, (_, factor) in zip(lines, right_scripts, _SCRIPTED, strict=False)
    ]
    questions, truths = ([row[n] for row in rows] for n in (0, 1))
    scripts += scripting.write_words(questions[len(_SCRIPTED) :])
    with scripted_model(answerer.model, answerer.tokenizer, scripts):
        found = call(implementation.test, answerer, rows)
    with fault_of("generate"):
        answers = call(record_generation, answerer, *questions, scripts=scripts).answers
    answers = [each if isinstance(each, str) else number(each) for each in answers]
    right = sum(map(task.is_right, answers, truths))
    due = {"accuracy": right / len(rows), "answer_rate": score(answers, truths).answer_rate}
    return ReportedFigures({name: [getattr(found, name)] for name in due}, [due], len(rows))


def figures_of_many(scripting: ScriptRunner, task: Task) -> list[ReportedFigures]:
    """Compares the figures that testing reports for given answers with those counted from them; no model is asked.

    Of many rows, three quarters of the answers are right; then come wrong ones, and as many that are missing. Numbers
    alternate in their sign, and half of the wrong ones are 0. For numbers, right answers and wrong ones close to 5 %
    are also scored alone, so that two errors cannot cancel each other.

    Raises:
        NotGiven: the implementation reports no figures, or no answer is judged.
        Unavailable: testing asks otherwise than by `answer` or `batched_generate`.
    """
    _require_figures(scripting.implementation, task)
    truths = _truths_of_many(task)
    right = len(truths) * 3 // 4
    wrong = [0.0 if n % 2 and not task.is_text else task.wrong(truth) for n, truth in enumerate(truths)]
    missing = 0 if task.is_text else (len(truths) - right) // 2
    found = [_figures_of(scripting, task, truths, [*truths[:right], *wrong[right:]], missing)]
    if not (task.is_text or task.is_own):
        for factors in (_RIGHT, _WRONG):
            pairs = [(sign * size, sign * size * factor) for size in _SIZES for sign in (1, -1) for factor in factors]
            found.append(_figures_of(scripting, task, [truth for truth, _ in pairs], [answer for _, answer in pairs]))
    return found


def figures_of_texts(scripting: ScriptRunner) -> ReportedFigures:
    """Compares the figures that testing reports for given answers that are texts with those that are due.

    Raises:
        NotGiven: the implementation reports no figures.
        Unavailable: testing takes no answers that are texts, or calls the model itself.
    """
    implementation, answerer = scripting.implementation, scripting.answerer
    _require_figures(implementation, scripting.task)
    rows = [(f"{n} florps in quux?", truth) for n, (truth, _, _) in enumerate(_TEXTS)]
    texts = {question: f"{given}{CLOSE_TAG}" for (question, _), (_, given, _) in zip(rows, _TEXTS, strict=True)}
    with _texts_in_place_of_generation(answerer, texts):
        try:
            found = call(implementation.test, answerer, rows)
        except Failure as failure:
            raise Unavailable(f"testing takes no answers that are texts: {failure.observed}") from failure
    right, given = sum(is_right for *_, is_right in _TEXTS), sum(bool(text) for _, text, _ in _TEXTS)
    due = {"accuracy": right / len(rows), "answer_rate": given / len(rows), "questions": len(rows)}
    return ReportedFigures({name: [getattr(found, name)] for name in due}, [due], len(rows))


def _figures_of(
    scripting: ScriptRunner, task: Task, truths: list[Any], given: list[Any], missing: int = 0
) -> ReportedFigures:
    """Scores given answers to invented questions, the last of which are missing."""
    implementation, answerer = scripting.implementation, scripting.answerer
    rows = [(f"{n} florps in quux?", truth) for n, truth in enumerate(truths)]
    lines = scripting.write([(question, answer) for (question, _), answer in zip(rows, given, strict=True)])
    texts = {line.question: line.text for line in lines}
    texts |= {question: "" for question, _ in rows[len(rows) - missing :]}
    with _texts_in_place_of_generation(answerer, texts) as asked:
        found = call(implementation.test, answerer, rows)
    if asked != texts.keys():
        raise Unavailable("test asks otherwise than by answer or batched_generate; SCR-001 scores fewer rows")
    answers = [call(answerer.parse_answer, texts[question]) for question, _ in rows]
    accuracy = sum(map(task.is_right, answers, truths)) / len(rows)
    due = {"accuracy": accuracy, "answer_rate": score(answers, truths).answer_rate, "questions": len(rows)}
    return ReportedFigures({name: [getattr(found, name)] for name in due}, [due], len(rows))


@contextlib.contextmanager
def _texts_in_place_of_generation(answerer: Answerer, texts: Mapping[str, str]) -> Iterator[set[str]]:
    """Replaces the answering of questions; yields the set of questions that were asked.

    Raises:
        Unavailable: the model is called, or the answerer takes no attributes.
    """
    asked: set[str] = set()
    questions = {answerer.format_prompt(question): question for question in texts}

    def generate(prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0) -> list[Any]:  # noqa: ARG001
        if any(prompt not in questions for prompt in prompts):
            refuse()
        found = [texts[questions[prompt]] for prompt in prompts]
        asked.update(questions[prompt] for prompt in prompts)
        return found if num_return_sequences is None else [[text] * num_return_sequences for text in found]

    def answer(*asked_for: str) -> list[Any]:
        asked.update(asked_for)
        return [answerer.parse_answer(texts[question]) for question in asked_for]

    def refuse(*_: object) -> None:
        raise Unavailable("test calls the model itself; SCR-001 scores fewer rows")

    hook = find_transformer(answerer.model).base_model.register_forward_pre_hook(refuse)
    try:
        with mock.patch.multiple(answerer, answer=answer, batched_generate=generate):
            yield asked
    except AttributeError as error:
        raise Unavailable("the methods of the loaded model cannot be replaced") from error
    finally:
        hook.remove()


def _truths_of_many(task: Task) -> list[Any]:
    if not task.is_own:
        return [(-1) ** n * 12.5 * (n + 1) for n in range(_MANY)]
    rows = [row for row in [*task.fresh_rows, *task.train_rows] if task.is_text or abs(row[1]) >= 1]
    if not rows:
        raise Unavailable("no row has an answer of 1 or more")
    return [answer for _, answer in itertools.islice(itertools.cycle(rows), _MANY)]


def _require_figures(implementation: Implementation, task: Task) -> None:
    if getattr(implementation, "test", None) is None:
        raise NotGiven("no figures are reported: give the implementation a method test")
    if task.judge is None:
        raise NotGiven("answers are judged by their loss alone: give a judge of answers")


def _scaled(task: Task, truth: Any, factor: float) -> Any:  # noqa: ANN401  # a number or a text
    """Returns a number scaled by the factor; for texts, the true or a wrong answer, as the factor implies."""
    if not task.is_text:
        return truth * factor
    return truth if is_answer_valid(factor, 1.0) else task.wrong(truth)


def _unseen(task: Task) -> list[TaskRow]:
    """Returns a row for each scripted answer and each silence: questions of no split, or rows of the user."""
    ranges = [*(each for each, _ in _SCRIPTED), *[_MEDIUM] * _SILENT]
    if task.is_own:
        rows = [*task.fresh_rows, *task.train_rows]
        rows = rows if task.is_text else [row for row in rows if abs(row[1]) >= 1]
        if len(rows) < len(ranges):
            raise Unavailable(f"{len(rows)} rows have an answer of 1 or more: give {len(ranges)}")
        return rows[: len(ranges)]
    generated = generate_rows(_SEED)
    return [next(row for row in generated if low <= row[1] <= high) for low, high in ranges]
