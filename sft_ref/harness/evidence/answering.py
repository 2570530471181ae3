"""Evidence of the prompt, load, generate, parse and score stages: prompts, the loaded model, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.reference.data import Row

from .processes import Crash, Process
from .texts import Generation, Prompt

Value = float | bool | str | None
"""An answer as the fine-tune returns it."""


@dataclass(frozen=True)
class Prompts:
    """The prompts that reach the model.

    Attributes:
        trained: one prompt for the question of each of the first training texts, in their order; None if it was not
            asked.
        fresh: one prompt for each fresh question.
        any_lost: the first prompt without its question, if training texts contain theirs, and several or all prompts do
            not; else None.
    """

    trained: tuple[Prompt | None, ...]
    fresh: tuple[Prompt | None, ...]
    any_lost: Prompt | None


@dataclass(frozen=True)
class LogitComparison:
    """Logits of the loaded model and of the expected adapter, which the reference loads, on training texts.

    Attributes:
        crash: the exception of the forward pass.
        observed_shape, expected_shape: shapes of the logits; the other fields are unset if they differ.
        finite: for each token, whether all logits of the loaded model are finite.
        expected_finite: whether all expected logits are finite.
        observed, expected, base: the loss of each supervised token; `base` is that of the model without an adapter.
        largest_change: the largest absolute difference between an observed and an expected logit.
    """

    crash: Crash | None = None
    observed_shape: tuple[int, ...] = ()
    expected_shape: tuple[int, ...] = ()
    finite: torch.Tensor | None = None
    expected_finite: bool = True
    observed: torch.Tensor | None = None
    expected: torch.Tensor | None = None
    base: torch.Tensor | None = None
    largest_change: float = 0.0


@dataclass(frozen=True)
class Loaded:
    """The model that answers.

    Attributes:
        with_sound_adapter: whether the trained adapter was replaced by a sound one.
        is_loaded: whether loading returned a model.
        was_reached: whether loading finished, with a model or an exception.
        crash: the exception raised while loading.
        process: how the process that loads and answers ended.
        dtypes: dtypes of the base model's parameters; `own_dtypes` are those of the model with the adapter that
            training left.
        own_notes: remarks for the reader on how that model was run.
        own_vocabulary: number of tokens in its tokenizer.
        own_active: names of its active adapters.
        own_bases: maps each model name that it requests to the model of known size that is meant.
        forwards_apart: the largest difference between its logits in two forward passes; NaN if they were not compared.
        elsewhere_tried: whether loading from another working folder was tried; `elsewhere_crash` is the exception it
            raised.
        comparison: the comparison of logits on training texts; None if there is none, for the reason `not_compared`.
        trained_rows, loaded_rows: embedding rows of the added tokens that training texts use, by tensor name.
    """

    with_sound_adapter: bool
    is_loaded: bool
    was_reached: bool
    crash: Crash | None
    process: Process
    dtypes: frozenset[str]
    own_dtypes: frozenset[str]
    own_notes: tuple[str, ...]
    own_vocabulary: int | None
    own_active: tuple[str, ...] | None
    own_bases: Mapping[str, str]
    forwards_apart: float
    elsewhere_tried: bool
    elsewhere_crash: Crash | None
    comparison: LogitComparison | None
    not_compared: str
    trained_rows: Mapping[str, torch.Tensor]
    loaded_rows: Mapping[str, torch.Tensor]

    @property
    def compared(self) -> LogitComparison:
        """The logits of training texts and the expected logits.

        Raises:
            Unavailable: the logits were not compared.
            Failure: the forward pass raised an exception, or its logits have an unexpected shape.
        """
        compared = self.comparison
        if compared is None:
            raise Unavailable(self.not_compared)
        if crash := compared.crash:
            raise Failure(f"the loaded model raises {crash.type}: {crash.message}", "logits", crash.where)
        if compared.observed_shape != compared.expected_shape:
            seen = f"the logits of the loaded model have the shape {compared.observed_shape}"
            raise Failure(seen, compared.expected_shape, "another base, or another vocabulary")
        return compared


@dataclass(frozen=True)
class Answers:
    """The result of one call that answers questions.

    Attributes:
        values: one answer for each question; None if the call returned none.
        parsed: each text that reached the parser, with the value that the parser returned.
        generations: the generations, in the order in which they ended.
        crash: the exception of the call.
    """

    values: tuple[Value, ...] | None = None
    parsed: tuple[tuple[str, Value], ...] = ()
    generations: tuple[Generation, ...] = ()
    crash: Crash | None = None


@dataclass(frozen=True)
class ScriptedAnswer:
    """A question, and the number that the model is forced to write for it.

    Attributes:
        generation: index of the generation that writes the number; None if no prompt contains the question.
        prompt: the prompt of that generation, without special tokens.
        question_end: character index in `prompt` at which the question ends; 0 if the question is not found there.
    """

    question: str
    numeral: str
    generation: int | None
    prompt: str = ""
    question_end: int = 0


@dataclass(frozen=True)
class ScriptedRun:
    """One call with scripted completions, and its result.

    Attributes:
        kind: the purpose of the call.
        lines: one line for each question; empty if nothing is scripted.
        answers: the answers of the call; None if it was not reached.
    """

    kind: str
    lines: tuple[ScriptedAnswer, ...]
    answers: Answers | None


@dataclass(frozen=True)
class CompletedRun:
    """A scripted run that was reached."""

    kind: str
    lines: tuple[ScriptedAnswer, ...]
    answers: Answers


@dataclass(frozen=True)
class Generations:
    """The completions that the model generates.

    Attributes:
        questions: fresh questions with their true answers.
        asked: how many questions one call asks.
        own: answers with the adapter that training left.
        answers: answers with the adapter that the checks judge; None if that call was not reached.
        scripted: the calls with scripted completions.
        shortfalls: for each generation, how far the log probability of its tokens is below that of the most likely
            tokens, in nat: the largest value and the mean.
        not_compared: why there are no shortfalls.
        cache_gaps: for each of the first generations, the root mean square difference, in nat, between the log
            probabilities of its tokens as generated, and in one forward pass of its text without padding or cache.
        autocast: dtype of the autocast of both; None if there was none.
    """

    questions: tuple[Row, ...]
    asked: int
    own: Answers | None
    answers: Answers | None
    scripted: tuple[ScriptedRun, ...]
    shortfalls: tuple[tuple[float, float], ...]
    not_compared: str
    cache_gaps: tuple[float, ...] = ()
    autocast: str | None = None


@dataclass(frozen=True)
class Parsed:
    """The parser's results when called directly on training answers: from the number on, then with the text before."""

    texts: tuple[str, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Scores:
    """The figures that testing reports on a benchmark with scripted answers.

    Attributes:
        was_reached: whether testing was reached.
        crash: the exception that testing raised.
        figures: the reported figures by name; None if no figures were looked for.
        printed: the text that testing printed.
        answered: benchmark questions, each with its true answer and the answer given.
        was_observed: whether any answers of the benchmark were observed, including those to unknown questions.
        validation: questions of the validation data.
        scripted: like `answered`, with the scripted answers, for questions that a prompt contains.
    """

    was_reached: bool
    crash: Crash | None
    figures: Mapping[str, tuple[Value, ...]] | None
    printed: str
    answered: tuple[tuple[str, float, float], ...]
    was_observed: bool
    scripted: tuple[tuple[str, float, float], ...]
    validation: frozenset[str]
