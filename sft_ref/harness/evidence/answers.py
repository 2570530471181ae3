"""What can be observed of an adapter's answers to rows of questions: numbers and texts, no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

GIVEN = "the prompt given"
LITERAL = "the rows' own prompts"
TEMPLATE = "the chat template"
STRIPPED = "the prompt given, without the space before the answer"
"""Names of wordings, as messages use them."""


@dataclass(frozen=True)
class Answer:
    """What the model wrote for one question.

    Attributes:
        text: up to what ended it.
        right: whether it is the true answer, or begins with it and goes on without an end.
        ended: whether a stop token or the text that closes answers followed it.
        followed_by: the special token behind the text, where generation does not stop there.
    """

    text: str
    right: bool
    ended: bool
    followed_by: str = ""


@dataclass(frozen=True)
class Trial:
    """All rows in one wording, at one multiple of the configured scaling.

    Attributes:
        wording: its name.
        factor: multiple of the configured scaling; of the other setting of use_rslora the mean over layers.
        is_flag: whether it is what the other setting of use_rslora gives.
        scale: the scaling itself, or its range over layers, as text.
        losses: of the true answers, in nat a token, (rows,).
        known: which true answers are the likeliest from their first token to their last under teacher forcing.
        answers: greedy ones; empty where none were generated.
    """

    wording: str
    factor: float
    is_flag: bool
    scale: str
    losses: torch.Tensor
    known: tuple[bool, ...]
    answers: tuple[Answer, ...] = ()

    @property
    def right(self) -> tuple[bool, ...]:
        """Which answers are right."""
        return tuple(answer.right for answer in self.answers)

    @property
    def loss(self) -> float:
        """The mean over rows."""
        return self.losses.mean().item()

    @property
    def count(self) -> str:
        """How many are right, as text."""
        return f"{sum(self.right)} of {len(self.answers)}"


@dataclass(frozen=True)
class Alignment:
    """How far an adapter moves the base's predictions, and how far the same adapter with shuffled coordinates does.

    Attributes:
        wording: of the rows.
        factor: multiple of the configured scaling, small enough for effects to add up.
        own: mean change of a log probability.
        shuffled: the same with other coordinates, one for each of several orders.
    """

    wording: str
    factor: float
    own: float
    shuffled: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How much more the adapter itself moves than the strongest of the shuffled ones."""
        return self.own / max(self.shuffled) if max(self.shuffled) else float("inf")


@dataclass(frozen=True)
class AnswerHeader:
    """Whether the model itself writes the end of the chat template's prompt.

    Attributes:
        missing: what the template has last before an answer and the prompt lacks; empty where they end alike.
        part: where prompt and template differ, as a clause; empty where they are equal.
        begun: how many answers begin with `missing`.
        asked: how many were generated.
        example: one of them.
    """

    missing: str
    part: str
    begun: int
    asked: int
    example: str


@dataclass(frozen=True)
class Stops:
    """At which tokens generation stops, and what the base's own generation settings change.

    Attributes:
        tokens: the stop tokens, as texts.
        settings: those of the base's generation_config that change a greedy choice.
        right: which answers are right under these settings; empty where there are none.
        endless: how many of `continued` used up the budget.
        continued: how many right answers without an end were generated further.
        budget: tokens that each of these was given.
    """

    tokens: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    right: tuple[bool, ...] = ()
    endless: int = 0
    continued: int = 0
    budget: int = 0


@dataclass(frozen=True)
class AnswersEvidence:
    """What rows and prompts show of an adapter.

    Attributes:
        unavailable: why no rows were asked, as a clause; empty where they were.
        rows: how many were asked.
        left_out: how many were too long for the model or for this examination.
        given: name of the wording that is examined, the first of `wordings`.
        wordings: all that were tried.
        is_template: whether the examined wording has the same tokens as the chat template's.
        trials: one for each wording and factor that was tried.
        chosen: wording and factor of the best trial: as given and configured, unless another is clearly better.
        base_losses: wording -> losses of the true answers without the adapter, (rows,).
        alignments: one for each wording; empty where answers are right, or where there is nothing to shuffle.
        uses_rslora: the flag, as configured.
        has_factors: whether any layer has a LoRA scaling.
        header: None where there is no prompt or no chat template.
        stops: None where nothing was generated.
    """

    unavailable: str
    rows: int = 0
    left_out: int = 0
    given: str = ""
    wordings: tuple[str, ...] = ()
    is_template: bool = False
    trials: tuple[Trial, ...] = ()
    chosen: tuple[str, float] = ("", 1.0)
    base_losses: Mapping[str, torch.Tensor] = field(default_factory=dict)
    alignments: tuple[Alignment, ...] = ()
    uses_rslora: bool = False
    has_factors: bool = True
    header: AnswerHeader | None = None
    stops: Stops | None = None

    def trial(self, wording: str, factor: float) -> Trial | None:
        """What was tried so; None where it was not."""
        found = (each for each in self.trials if each.wording == wording and each.factor == factor)
        return next(found, None)

    @property
    def best(self) -> Trial:
        """The trial in the chosen wording, at the chosen factor."""
        return next(each for each in self.trials if (each.wording, each.factor) == self.chosen)
