"""Parts of the other stages: what reaches the model, what it is made to write, and what becomes of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.training_examples import TrainingExample


@dataclass(frozen=True)
class TokenizedAgain:
    """What tokenizing the probes again gives: in a batch, the first one alone, and their prompts."""

    batch: Sequence[TrainingExample]
    alone: Sequence[TrainingExample]
    prompts: Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class EndOfWriting:
    """How far the model writes, where its script goes on behind the supervised text.

    Attributes:
        target: ids of the supervised text.
        written: how many tokens it writes.
    """

    question: str
    target: tuple[int, ...]
    written: int


@dataclass(frozen=True)
class WrittenAnswer:
    """What the model is made to write after one question.

    Attributes:
        text: what the implementation supervises, special tokens left out.
        answer: the answer as it stands in that text.
    """

    question: str
    text: str
    answer: str


@dataclass(frozen=True)
class ScriptedOutcome:
    """What came of scripted answers.

    Attributes:
        lines: what was asked and written.
        prompts: texts that reached the model, in the order in which generations began.
        answers: what `answer` gave.
        texts: what reached the parser, one a question; None where it was not called once a question.
        logits: by question, what the model itself gave at each step, (steps, vocabulary), in fp32.
        dtype: the coarsest that a Linear layer computed in.
        strange_prompts: those that hold none of the questions, and are not where a training text leaves off.
    """

    lines: Sequence[WrittenAnswer]
    prompts: Sequence[str]
    answers: Sequence[Any]
    texts: Sequence[str] | None
    logits: Mapping[str, torch.Tensor]
    dtype: torch.dtype
    strange_prompts: Sequence[str] = ()

    @property
    def questions(self) -> list[str]:
        """What was asked."""
        return [line.question for line in self.lines]

    @property
    def parsed(self) -> Sequence[str]:
        """What reached the parser, one a question; where it is not called by its name, what the model wrote."""
        return [line.text for line in self.lines] if self.texts is None else self.texts

    def require_all_asked(self) -> None:
        """Makes sure that each question reached the model, and was answered once.

        Raises:
            Failure: a prompt holds none of the questions, or there are more or fewer answers.
        """
        if self.strange_prompts:
            due = "one that holds the question, or is where its training text leaves off"
            raise Failure(f"the model gets the prompt {self.strange_prompts[0]!r}", due, self.questions)
        if len(self.answers) != len(self.lines):
            raise Failure(
                f"answering returns {len(self.answers)} answers", f"{len(self.lines)}, one a question", self.questions
            )

    def logits_of(self, question: str) -> torch.Tensor:
        """The logits for one question.

        Raises:
            Unavailable: the model was not asked it where that can be seen.
        """
        if question not in self.logits:
            raise Unavailable(f"no forward of `model` was recorded for {question!r}")
        return self.logits[question]


@dataclass(frozen=True)
class LastOutput:
    """A module's output at the last token of every row of a batch.

    Attributes:
        not_finite: rows that have NaN or infinity.
        rows: of the batch.
        largest: absolute value.
    """

    module: str
    dtype: torch.dtype
    not_finite: int
    rows: int
    largest: float


@dataclass(frozen=True)
class BatchOutputs:
    """The outputs of all modules while one batch is answered."""

    questions: Sequence[str]
    outputs: Sequence[LastOutput]


@dataclass(frozen=True)
class AskedTwice:
    """The same scripted answers twice; and whether on a CPU, where both are the same bits."""

    first: ScriptedOutcome
    again: ScriptedOutcome
    is_on_cpu: bool


@dataclass(frozen=True)
class LikeBeginnings:
    """Two questions that begin alike, asked alone.

    Attributes:
        states: ids and last hidden states of each prompt; fewer where the model was not asked.
        dtype: the coarsest that was computed in.
    """

    questions: Sequence[str]
    states: Sequence[tuple[tuple[int, ...], torch.Tensor]]
    dtype: torch.dtype


@dataclass(frozen=True)
class OneAmongOthers:
    """The same question among other neighbours, or alone."""

    question: str
    one: ScriptedOutcome
    other: ScriptedOutcome


@dataclass(frozen=True)
class ReturnedTexts:
    """What `batched_generate` returns for scripted answers, by `num_return_sequences`."""

    lines: Sequence[WrittenAnswer]
    by_count: Mapping[int | None, Any]


@dataclass(frozen=True)
class GeneratedLogits:
    """Logits of one generated row, (steps, vocabulary), beside those of one forward of the loaded model.

    Attributes:
        prompt: text of the prompt.
        steps: numbers of the new tokens.
        spread: standard deviation of the expected logits, or of the base's for the same tokens, whichever is larger.
            Rounding errors come from the base's activations; training may lower the spread, as label smoothing does.
    """

    prompt: str
    steps: Sequence[int]
    observed: torch.Tensor
    expected: torch.Tensor
    spread: float


@dataclass(frozen=True)
class GeneratedRows:
    """Rows of one batch of unlike lengths.

    Attributes:
        rows: those whose logits were recorded from their prompt's beginning.
        dtype: the coarsest that was computed in.
    """

    rows: Sequence[GeneratedLogits]
    dtype: torch.dtype


@dataclass(frozen=True)
class WrongAnswersWritten:
    """Answers to questions of the data while the model writes wrong ones, or nothing; `truths` are the true ones."""

    questions: Sequence[str]
    truths: Sequence[Any]
    answers: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class AdapterOff:
    """Accuracy on fresh rows without the adapter: by `answer`, and by the model alone when it is asked directly."""

    answered: float
    model_alone: float
    rows: int
