"""Records the stages parse and score: the treatment of the texts that the model writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.implementation import Answerer, Implementation
from sft_ref.harness.evidence.in_process.answer_parts import (
    AdapterOff,
    ScriptedOutcome,
    WrongAnswersWritten,
)
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.views import ParsedText, ParsedTexts
from sft_ref.harness.instruments.adapter_off import without_adapter
from sft_ref.harness.instruments.generation_recorder import (
    ModelNotCalled,
    find_transformer,
    record_generation,
)
from sft_ref.harness.recorders.in_process.calls import ask_prompt, call
from sft_ref.harness.recorders.in_process.scripted_answers import WORDS, ScriptRunner
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG

_NEW_TOKENS = 32

_ANSWERLESS = (
    "",
    " ",
    "no idea",
    CLOSE_TAG,
    f"{OPEN_TAG}{CLOSE_TAG}",
    f"{OPEN_TAG}many{CLOSE_TAG}",
    f"{OPEN_TAG}-.e+{CLOSE_TAG}",
    f"{OPEN_TAG}{OPEN_TAG}",
)


def parse(answerer: Answerer) -> Callable[[str], Any]:
    """Returns the parser as a separate function; its exceptions count as failures of the parser."""

    def parse_text(text: str) -> Any:  # noqa: ANN401
        return call(answerer.parse_answer, text)

    return parse_text


def targets_written(scripting: ScriptRunner, task: Task) -> ScriptedOutcome:
    """Makes the model write training targets, in one call of `answer`."""
    return scripting.run(scripting.write(task.targets), keep_nan=False)


def parsed_texts(targets_written: ScriptedOutcome, task: Task, parse: Callable[[str], Any]) -> ParsedTexts:
    """See `views`; the texts that reached the parser, or the written texts if the parser is not called by its name."""
    texts = []
    rows = task.targets
    for (question, truth), answer, text in zip(rows, targets_written.answers, targets_written.parsed, strict=True):
        due = repr(truth) if task.is_text else f"{truth}, within 5 %" if truth else "0"
        is_right = task.is_right(answer, truth) if truth else answer == 0  # nothing is within 5 % of 0
        texts.append(ParsedText(text, answer, due, is_right, question))
    lost = next((n for n, each in enumerate(texts) if not each.is_right), None)
    if lost is None or targets_written.texts is None:
        return ParsedTexts(texts)
    parse(texts[lost].text)  # an exception is more informative than the NaN in its place
    lead = targets_written.prompts[0].split()[-1] if targets_written.prompts else ""
    with contextlib.suppress(Failure):
        if lead and task.is_right(parse(lead + texts[lost].text), rows[lost][1]):
            return ParsedTexts(texts, lead)
    return ParsedTexts(texts)


def answerless_texts(scripting: ScriptRunner, task: Task, parse: Callable[[str], Any]) -> list[ParsedText]:
    """Parses texts without a digit, and makes the model write words without a number.

    Raises:
        Unavailable: any text may be an answer.
    """
    task.require_numbers()
    found = [ParsedText(text, parse(text)) for text in _ANSWERLESS]
    questions = [question for question, _ in task.probes]
    with contextlib.suppress(ModelNotCalled):  # GEN-009 and PRS-004 report where answers come from
        recorded = call(record_generation, scripting.answerer, *questions, scripts=scripting.write_words(questions))
        parsed = recorded.texts if len(recorded.texts) == len(questions) else [WORDS] * len(questions)
        asked = zip(parsed, recorded.answers, questions, strict=True)
        found += [ParsedText(text, answer, question=question) for text, answer, question in asked]
    return found


def wrong_answers_written(scripting: ScriptRunner, task: Task) -> WrongAnswersWritten:
    """Makes the model give a wrong answer, or nothing, to questions of both splits."""
    rows = [*task.train_rows[4:10], *task.fresh_rows[4:10]]
    questions, truths = ([row[n] for row in rows] for n in (0, 1))
    lines = scripting.write([(question, task.wrong(truth)) for question, truth in rows])
    cases = {"a wrong answer": False, "nothing": True}
    answers = {case: scripting.run(lines, end_at_once=at_once).answers for case, at_once in cases.items()}
    return WrongAnswersWritten(questions, truths, answers)


def adapter_off(implementation: Implementation, answerer: Answerer, task: Task) -> AdapterOff:
    """Measures accuracy without the adapter, of `answer` and of the model itself, on a split that every machine has."""
    questions, truths = ([row[n] for row in task.fresh_rows] for n in (0, 1))
    with without_adapter(answerer, implementation.base):
        answers = call(answerer.answer, *questions)
        texts = _complete(answerer, questions)
    own = [call(answerer.parse_answer, text) for text in texts]
    answered, alone = (sum(map(task.is_right, each, truths)) / len(truths) for each in (answers, own))
    return AdapterOff(answered, alone, len(truths))


def _complete(answerer: Answerer, questions: list[str]) -> list[str]:
    """Generates the model's own completions of the prompts that `answer` sends."""
    tokenizer = answerer.tokenizer
    model: Any = find_transformer(answerer.model)
    prompts = []
    for question in questions:
        with contextlib.suppress(ModelNotCalled):
            prompts.append(ask_prompt(answerer, question))
    if len(prompts) < len(questions):
        raise Failure(f"{len(questions) - len(prompts)} questions are answered without the model", "none")
    longest = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.pad_token_id or 0] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    device = next(model.parameters()).device
    with torch.inference_mode():
        new = model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=_NEW_TOKENS, do_sample=False
        )
    return [str(text) for text in tokenizer.batch_decode(new[:, longest:], skip_special_tokens=True)]
