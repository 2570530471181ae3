"""The prompt, load, generate, parse and score stages: what is loaded, what it is asked, and what it answers."""

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
        trained: for questions of the first training texts, in their order; None where one was not asked.
        fresh: for fresh questions.
        any_lost: the first prompt, where none holds its question though training texts do.
    """

    trained: tuple[Prompt | None, ...]
    fresh: tuple[Prompt | None, ...]
    any_lost: Prompt | None


@dataclass(frozen=True)
class LogitComparison:
    """The loaded model against the adapter that is expected to answer, loaded by the reference, on training texts.

    Attributes:
        crash: of the forward.
        observed_shape, expected_shape: of the logits; the rest is empty where they differ.
        finite: for each token, whether the loaded model's logits are.
        expected_finite: whether all expected logits are.
        observed, expected, base: loss of each supervised token; `base`: by the model without adapter.
        largest_change: of a logit.
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
        with_sound_adapter: whether a sound adapter stands in the place of what training left.
        is_loaded: whether loading gave a model.
        was_reached: whether loading ended, with a model or a crash.
        crash: of loading.
        process: how the process ended that loads and answers.
        dtypes: of the base's parameters; `own_dtypes`: of the model with the adapter that training left.
        own_notes: what a reader must know of how that one was run.
        own_vocabulary: tokens that its tokenizer knows.
        own_active: names of its active adapters.
        own_bases: names of models that it asks for -> the model of known size that is meant.
        forwards_apart: how far its logits of two forwards are apart; NaN where they were not compared.
        elsewhere_tried: whether loading from another working folder was tried; `elsewhere_crash`: what came of it.
        comparison: on training texts; None where there is none, for the reason `not_compared`.
        trained_rows, loaded_rows: rows of embeddings of added tokens that training texts use, by name.
        loaded_rows_count: the fewest rows of such an embedding when answering.
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
        """The logits of training texts, and the expected ones.

        Raises:
            Unavailable: they were not compared.
            Failure: the forward crashed, or gave logits of another shape.
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
    """What comes of one call that answers questions.

    Attributes:
        values: one a question; None where the call gave none.
        parsed: texts that reach the parser, each with the value it gives.
        generations: in the order in which they end.
        crash: of the call.
    """

    values: tuple[Value, ...] | None = None
    parsed: tuple[tuple[str, Value], ...] = ()
    generations: tuple[Generation, ...] = ()
    crash: Crash | None = None


@dataclass(frozen=True)
class ScriptedAnswer:
    """A question, and the number that the model is made to write for it.

    Attributes:
        generation: index of the one that does; None where no prompt holds the question.
        prompt: of that generation, without special tokens.
        question_end: where the question ends in it; 0 where it is not found there.
    """

    question: str
    numeral: str
    generation: int | None
    prompt: str = ""
    question_end: int = 0


@dataclass(frozen=True)
class ScriptedRun:
    """One call with scripted completions, and what comes of it.

    Attributes:
        kind: what it is for.
        lines: one a question; none where nothing is scripted.
        answers: None where the call was not reached.
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
    """What the model writes.

    Attributes:
        questions: fresh ones, with their answers.
        asked: how many questions one call asks.
        own: answers with the adapter that training left.
        answers: answers with the adapter that the checks speak of; None where that call was not reached.
        scripted: the calls with scripted completions.
        shortfalls: how far generations are below the likeliest tokens, in nat: the worst token and the mean of each.
        not_compared: why there are none.
    """

    questions: tuple[Row, ...]
    asked: int
    own: Answers | None
    answers: Answers | None
    scripted: tuple[ScriptedRun, ...]
    shortfalls: tuple[tuple[float, float], ...]
    not_compared: str


@dataclass(frozen=True)
class Parsed:
    """The parser, called by itself on training's answers: from the number on, then with what leads to it."""

    texts: tuple[str, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Scores:
    """What testing reports of a benchmark whose answers are scripted.

    Attributes:
        was_reached: whether testing was.
        crash: of testing.
        figures: reported ones, by name; None where none were looked for.
        printed: what it printed.
        answered: questions of the benchmark, each with its true answer and the value given.
        was_observed: whether the benchmark's answers were observed, known questions or not.
        validation: its questions.
        scripted: the same, as they were scripted, for questions that a prompt holds.
    """

    was_reached: bool
    crash: Crash | None
    figures: Mapping[str, tuple[Value, ...]] | None
    printed: str
    answered: tuple[tuple[str, float, float], ...]
    was_observed: bool
    scripted: tuple[tuple[str, float, float], ...]
    validation: frozenset[str]
