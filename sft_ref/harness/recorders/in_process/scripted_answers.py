"""Scripted answers: the model writes chosen answers as an implementation would, and what becomes of them is recorded.

Between what the model writes and what `answer` gives stands the parser. So the texts that reach the parser
are recorded too, and faults of generation and of parsing are kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Implementation, TaskRow
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.evidence.in_process.answer_parts import ScriptedOutcome, WrittenAnswer
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.generation_recorder import RecordedAnswers, record_generation
from sft_ref.harness.instruments.module_outputs import computed_dtypes
from sft_ref.harness.instruments.scripted.followed_rows import Script
from sft_ref.harness.instruments.scripted.questions import find_question, normalize
from sft_ref.reference.tokens import IGNORE_INDEX

from .calls import ask_prompt, call
from .task import Task

WORDS = " no idea"
"""What is written in place of an answer."""


@dataclass(frozen=True)
class AnswerScript(WrittenAnswer):
    """What the model is to write after one question; `script` is for the scripted model."""

    script: Script


@dataclass(frozen=True)
class Scripting:
    """Writes scripts for a loaded implementation, and runs them."""

    implementation: Implementation
    answerer: Answerer
    task: Task

    def write(self, rows: Sequence[TaskRow]) -> list[AnswerScript]:
        """Answers in the implementation's own convention, read from the batch that it would train on.

        Raises:
            Unavailable: nothing is masked, and the training text does not hold the question.
        """
        tokenizer = self.answerer.tokenizer
        answers = []
        examples = examples_of(call(self.implementation.training_batch, rows))
        for (question, truth), example in zip(rows, examples, strict=True):
            ids, least = example.ids[: example.end], example.begin or 0
            # of a text that is supervised whole, the first token and an end that equals padding may still carry none
            if sum(label != IGNORE_INDEX for label in example.labels) >= len(example.ids) - 2:
                ids = example.ids
                asked = [normalize(question)]
                least = next(
                    (n for n in range(1, len(ids)) if find_question(asked, decode(tokenizer, ids[:n])) == 0), 0
                )
                if not least:
                    raise Unavailable("no label is masked, and the training text does not hold the question as it is")
            text = str(tokenizer.decode([*ids[least:]], skip_special_tokens=True))
            answer = self.task.find(text, truth)
            if answer is None:
                raise Failure(f"the target {text!r} lacks the answer", f"one with {truth}", question)
            answers.append(AnswerScript(question, text, answer, Script(question, ids, ids[least:], least)))
        return answers

    def dictate(self, questions: Sequence[str]) -> list[AnswerScript]:
        """Answers to these questions that no model would give by itself."""
        answers = self.task.dictate(len(questions), self.answerer.tokenizer)
        return self.write([*zip(questions, answers, strict=True)])

    def write_words(self, questions: Sequence[str]) -> list[Script]:
        """Scripts of words that hold no number, behind the very prompts that ask the questions."""
        words: tuple[int, ...] = tuple(self.answerer.tokenizer(WORDS, add_special_tokens=False)["input_ids"]) * 64
        prompts = [ask_prompt(self.answerer, question) for question in questions]
        return [
            Script(question, (*prompt, *words), words, len(prompt))
            for question, prompt in zip(questions, prompts, strict=True)
        ]

    def run(
        self, lines: Sequence[AnswerScript], *, end_at_once: bool = False, keep_nan: bool = True
    ) -> ScriptedOutcome:
        """What `observe` gives.

        Raises:
            Failure: a prompt holds none of the questions, or there are more or fewer answers.
        """
        found = self.observe(lines, end_at_once=end_at_once, keep_nan=keep_nan)
        found.require_all_asked()
        return found

    def observe(
        self, lines: Sequence[AnswerScript], *, end_at_once: bool = False, keep_nan: bool = True
    ) -> ScriptedOutcome:
        """Asks all questions in one call while the model writes their answers, or nothing but the end.

        Args:
            lines: what is asked and written.
            end_at_once: whether only the end is written.
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
            found.texts if len(found.texts) == len(lines) else None,
            _logits_by_question(found, questions),
            coarsest(dtypes),
            [prompt for row, prompt in asked if row.question is None],
        )


def coarsest(dtypes: set[torch.dtype]) -> torch.dtype:
    """The dtype with the fewest significant bits."""
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def _logits_by_question(found: RecordedAnswers, questions: Sequence[str]) -> dict[str, torch.Tensor]:
    """Logits of all steps; none where those of the first are hidden. Of a question that is asked twice the first."""
    logits: dict[str, torch.Tensor] = {}
    for row in found.generations:
        steps = [row.logits[step] for step in range(len(row.logits)) if step in row.logits]
        if row.question is not None and 0 in row.logits:
            logits.setdefault(questions[row.question], torch.stack(steps))
    return logits
