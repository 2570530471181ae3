"""Scripted answers: the model writes chosen answers through an implementation, and the results are recorded.

The parser sits between the text that the model writes and the value that `answer` returns. The texts that reach the
parser are recorded too, to separate faults of generation from faults of parsing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Implementation, TaskRow
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.evidence.assignment import assign
from sft_ref.harness.evidence.in_process.answer_parts import ScriptedOutcome, WrittenAnswer
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.instruments.generation_recorder import RecordedAnswers, record_generation
from sft_ref.harness.instruments.module_outputs import computed_dtypes
from sft_ref.harness.instruments.scripted.questions import find_question, normalize
from sft_ref.harness.instruments.scripted.tracked_rows import Script
from sft_ref.reference.tokens import IGNORE_INDEX

from .calls import ask_prompt, call, training_batch

WORDS = " no idea"
"""Text that is written in place of an answer."""


@dataclass(frozen=True)
class AnswerScript(WrittenAnswer):
    """The answer for the model to write after one question; `script` is for the scripted model."""

    script: Script


@dataclass(frozen=True)
class ScriptRunner:
    """Writes scripts for a loaded implementation, and runs them."""

    implementation: Implementation
    answerer: Answerer
    task: Task

    def write(self, rows: Sequence[TaskRow]) -> list[AnswerScript]:
        """Writes answers in the implementation's own format, taken from its training batch.

        Raises:
            Unavailable: no label is masked, and the training text does not contain the question.
        """
        tokenizer = self.answerer.tokenizer
        answers = []
        examples = examples_of(training_batch(self.implementation, rows))
        for (question, truth), example in zip(rows, examples, strict=True):
            ids, least = example.ids[: example.end], example.begin or 0
            # in a fully supervised text, the first token and an end token that equals padding may still be unlabelled
            if sum(label != IGNORE_INDEX for label in example.labels) >= len(example.ids) - 2:
                ids = example.ids
                asked = [normalize(question)]
                least = next(
                    (n for n in range(1, len(ids)) if find_question(asked, decode(tokenizer, ids[:n])) == 0), 0
                )
                if not least:
                    raise Unavailable(
                        "no label is masked, and the training text does not contain the question word for word"
                    )
            whole, text = (
                str(tokenizer.decode([*ids[least:]], skip_special_tokens=skipped)) for skipped in (False, True)
            )
            answer = self.task.find(whole, truth)  # a digit that is a special token is part of the answer
            if answer is None:
                raise Failure(f"the target {whole!r} lacks the answer", f"one with {truth}", question)
            answers.append(AnswerScript(question, text, answer, Script(question, ids, ids[least:], least)))
        return answers

    def script_unlikely_answers(self, questions: Sequence[str]) -> list[AnswerScript]:
        """Writes answers to the questions that no model would give unprompted."""
        answers = self.task.script_unlikely_answers(len(questions), self.answerer.tokenizer)
        return self.write([*zip(questions, answers, strict=True)])

    def write_words(self, questions: Sequence[str]) -> list[Script]:
        """Returns scripts of words without a number, after the actual prompts of the questions."""
        return [self.write_text(question, WORDS * 64).script for question in questions]

    def write_text(self, question: str, text: str) -> AnswerScript:
        """Returns a script of a text after the actual prompt of a question."""
        ids = encode(self.answerer.tokenizer, text)
        prompt = ask_prompt(self.answerer, question)
        return AnswerScript(question, text, text, Script(question, (*prompt, *ids), ids, len(prompt)))

    def run(
        self, lines: Sequence[AnswerScript], *, end_at_once: bool = False, keep_nan: bool = True
    ) -> ScriptedOutcome:
        """Asks as `observe` does, and requires an answer to each question.

        Raises:
            Failure: a prompt contains none of the questions, or the number of answers is wrong.
        """
        found = self.observe(lines, end_at_once=end_at_once, keep_nan=keep_nan)
        found.require_all_asked()
        return found

    def observe(
        self, lines: Sequence[AnswerScript], *, end_at_once: bool = False, keep_nan: bool = True
    ) -> ScriptedOutcome:
        """Asks all questions in one call while the model writes the scripted answers, or only the end token.

        Args:
            lines: questions with the answers to write.
            end_at_once: whether to write only the end token.
            keep_nan: whether an answer is lost where the model computes NaN or infinity.
        """
        scripts = [line.script for line in lines]
        if end_at_once:
            scripts = [replace(script, whole=script.whole[: script.least], target=()) for script in scripts]
        questions = [line.question for line in lines]
        with computed_dtypes(self.answerer.model) as dtypes:
            found: RecordedAnswers = call(
                record_generation, self.answerer, *questions, scripts=scripts, keep_logits=True, keep_nan=keep_nan
            )
        prompts = [decode(self.answerer.tokenizer, row.prompt_ids) for row in found.generations]
        asked = zip(found.generations, prompts, strict=True)
        return ScriptedOutcome(
            lines,
            prompts,
            found.answers,
            self._texts_by_line(lines, found) if len(found.texts) == len(lines) else None,
            _logits_by_question(found, questions),
            coarsest(dtypes),
            [prompt for row, prompt in asked if row.question is None],
        )

    def _texts_by_line(self, lines: Sequence[AnswerScript], found: RecordedAnswers) -> Sequence[str]:
        """Returns the parsed texts in the order of the lines, if every answer is that of its line."""
        given, dictated = found.answers, [line.answer for line in lines]
        if len(given) != len(lines) or not all(map(self.task.is_exactly, given, dictated)):
            return found.texts
        places = assign(found.texts, dictated, lambda text, answer: answer in self.task.answers_in(text, dictated))
        return found.texts if places is None else [found.texts[place] for place in places]


def coarsest(dtypes: set[torch.dtype]) -> torch.dtype:
    """Returns the dtype with the fewest significant bits."""
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def _logits_by_question(found: RecordedAnswers, questions: Sequence[str]) -> dict[str, torch.Tensor]:
    """Returns the logits of all steps by question, unless the first step's are hidden; repeats keep the first."""
    logits: dict[str, torch.Tensor] = {}
    for row in found.generations:
        steps = [row.logits[step] for step in range(len(row.logits)) if step in row.logits]
        if row.question is not None and 0 in row.logits:
            logits.setdefault(questions[row.question], torch.stack(steps))
    return logits
