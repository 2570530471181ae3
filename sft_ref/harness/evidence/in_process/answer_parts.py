"""Evidence of the stages around the model: prompts, scripted completions, and the answers made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.training_examples import TrainingExample


@dataclass(frozen=True)
class AskedText:
    """The ids of the prompt that asks a question, and the training text of the question."""

    question: str
    prompt: tuple[int, ...]
    example: TrainingExample


@dataclass(frozen=True)
class TokenizedAgain:
    """The results of tokenizing the probes again: in a batch, the first one alone, their prompts, and other answers."""

    batch: Sequence[TrainingExample]
    alone: Sequence[TrainingExample]
    prompts: Sequence[tuple[int, ...]]
    other_answers: Sequence[TrainingExample]


@dataclass(frozen=True)
class GenerationEnd:
    """How far the model writes when its script continues after the supervised text.

    Attributes:
        target: token ids of the supervised text.
        written: number of tokens that the model writes.
    """

    question: str
    target: tuple[int, ...]
    written: int


@dataclass(frozen=True)
class WrittenAnswer:
    """The text that the model is forced to write after one question.

    Attributes:
        text: the text that the implementation supervises, without special tokens.
        answer: the answer as written in that text.
    """

    question: str
    text: str
    answer: str


@dataclass(frozen=True)
class ScriptedOutcome:
    """The result of scripted answers.

    Attributes:
        lines: the questions, with the scripted texts.
        prompts: texts that reached the model, in the order in which the generations began.
        answers: the values returned by `answer`.
        texts: the texts that reached the parser, one for each question; None if it was not called once per question.
        logits: maps each question to the model's own logits at each step, shape (steps, vocabulary), in fp32.
        dtype: the coarsest dtype in which a Linear layer computed.
        strange_prompts: prompts that contain none of the questions, and are not the beginning of a training text.
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
        """The questions that were asked."""
        return [line.question for line in self.lines]

    @property
    def parsed(self) -> Sequence[str]:
        """The texts that reached the parser, one for each question, or else the texts that the model wrote.

        The model's texts are used if `parse_answer` is not called once per question.
        """
        return [line.text for line in self.lines] if self.texts is None else self.texts

    def require_all_asked(self) -> None:
        """Checks that each question reached the model and was answered once.

        Raises:
            Failure: a prompt contains none of the questions, or there are more or fewer answers.
        """
        if self.strange_prompts:
            due = "one that contains the question, or is the beginning of its training text"
            raise Failure(f"the model gets the prompt {self.strange_prompts[0]!r}", due, self.questions)
        if len(self.answers) != len(self.lines):
            raise Failure(
                f"answering returns {len(self.answers)} answers", f"{len(self.lines)}, one per question", self.questions
            )

    def logits_of(self, question: str) -> torch.Tensor:
        """Returns the logits for one question.

        Raises:
            Unavailable: no forward pass of the model was recorded for the question.
        """
        if question not in self.logits:
            raise Unavailable(f"no forward pass of `model` was recorded for {question!r}")
        return self.logits[question]


@dataclass(frozen=True)
class LastOutput:
    """A module's output at the last token of every row of a batch.

    Attributes:
        not_finite: number of rows with NaN or infinity.
        rows: number of rows in the batch.
        largest: the largest absolute value.
    """

    module: str
    dtype: torch.dtype
    not_finite: int
    rows: int
    largest: float


@dataclass(frozen=True)
class BatchOutputs:
    """The outputs of all modules while one batch of questions is answered."""

    questions: Sequence[str]
    outputs: Sequence[LastOutput]


@dataclass(frozen=True)
class AskedTwice:
    """The outcomes of asking the same scripted questions twice.

    On a CPU (`is_on_cpu`), both outcomes have to be bitwise equal.
    """

    first: ScriptedOutcome
    again: ScriptedOutcome
    is_on_cpu: bool


@dataclass(frozen=True)
class SharedPrefix:
    """Two questions with the same beginning, each asked alone.

    Attributes:
        states: token ids and last hidden states of each prompt; fewer entries if the model was not asked.
        dtype: the coarsest dtype in which the model computed.
    """

    questions: Sequence[str]
    states: Sequence[tuple[tuple[int, ...], torch.Tensor]]
    dtype: torch.dtype


@dataclass(frozen=True)
class BatchComparison:
    """The same question among different neighbours, or alone."""

    question: str
    one: ScriptedOutcome
    other: ScriptedOutcome


@dataclass(frozen=True)
class SampledTokens:
    """Tokens that are sampled while the model gives every token but two no chance.

    Attributes:
        temperature: the temperature that was requested.
        due: the probability of the less likely token at that temperature.
        seen: its share of the sampled tokens.
        count: number of sampled tokens.
        different: number of different texts, as a share of all of them.
    """

    temperature: float
    due: float
    seen: float
    count: int
    different: float


@dataclass(frozen=True)
class ReturnedTexts:
    """The texts that `batched_generate` returns for scripted answers, by `num_return_sequences`."""

    lines: Sequence[WrittenAnswer]
    by_count: Mapping[int | None, Any]


@dataclass(frozen=True)
class GeneratedLogits:
    """Logits of one generated row and of one forward pass of the loaded model, shape (steps, vocabulary).

    Attributes:
        prompt: text of the prompt.
        steps: step indices of the new tokens.
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
    """The rows of one batch with different lengths.

    Attributes:
        rows: rows whose logits were recorded from the beginning of their prompt.
        dtype: the coarsest dtype in which the model computed.
    """

    rows: Sequence[GeneratedLogits]
    dtype: torch.dtype


@dataclass(frozen=True)
class WrongAnswersWritten:
    """Answers to questions of the data while the model writes wrong answers, or none.

    `truths` are the true answers.
    """

    questions: Sequence[str]
    truths: Sequence[Any]
    answers: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class AdapterOff:
    """Accuracy on fresh rows without the adapter: of `answer`, and of the model alone when it is asked directly."""

    answered: float
    model_alone: float
    rows: int
