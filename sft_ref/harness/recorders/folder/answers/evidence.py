"""What is known of the answers of a bare adapter: plain numbers and texts, no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Answer:
    """What the model wrote for one question.

    Attributes:
        text: up to what ended it.
        right: whether it is the true answer, or begins with it and goes on without an end.
        ended: whether a token at which generation stops, or the text that closes answers, came.
        followed_by: the special token behind the text, where generation does not stop there.
    """

    text: str
    right: bool
    ended: bool
    followed_by: str = ""


@dataclass(frozen=True)
class Trial:
    """All rows in one wording, at one multiple of the configured factor.

    Attributes:
        wording: by its name.
        factor: 1 is as configured; of the other setting of use_rslora the mean over layers.
        is_flag: whether it is what the other setting of use_rslora gives.
        scale: the factor itself, or its range over layers, as text.
        losses: of the true answers, in nat a token, (rows,).
        known: which true answers are the likeliest from their first token to their last, each after the true ones.
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
        """How many are right, in words."""
        return f"{sum(self.right)} of {len(self.answers)}"


@dataclass(frozen=True)
class Alignment:
    """How far an adapter moves the base's predictions, and how far the same adapter with shuffled coordinates does.

    Attributes:
        wording: of the rows.
        factor: at which multiple of the configured factor, small enough for effects to add up.
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
class Header:
    """Whether the model itself writes what the prompt leaves out of the chat template.

    Attributes:
        missing: what the template puts last before an answer, and the prompt does not; empty where they end alike.
        part: where prompt and template part, as a clause; empty where they are equal.
        begun: how many answers begin with it.
        asked: of how many.
        example: such an answer.
    """

    missing: str
    part: str
    begun: int
    asked: int
    example: str


@dataclass(frozen=True)
class Stops:
    """At which tokens generation stops, and what the base's own settings of generation change.

    Attributes:
        tokens: those at which it stops, as texts.
        settings: of the base's generation_config, those that change a greedy choice.
        right: which answers are right under these settings; empty where there are none.
        endless: how many right answers without an end were continued, and went on to the budget.
        continued: how many were.
        budget: tokens that they were given.
    """

    tokens: tuple[str, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    right: tuple[bool, ...] = ()
    endless: int = 0
    continued: int = 0
    budget: int = 0


@dataclass(frozen=True)
class AnswersEvidence:
    """What rows and prompts show of an adapter.

    Attributes:
        lacking: why rows could not be asked, a clause; empty where they were.
        rows: how many were.
        left_out: how many were too long for the model, or for this examination.
        given: the name of the wording that is examined, the first of `wordings`.
        wordings: all that were tried.
        is_template: whether what is examined is what the chat template makes, to the token.
        trials: one for each wording and factor that was tried.
        chosen: wording and factor of the trial that answers return in; as given and configured unless another is
            clearly better.
        base_losses: wording -> of the true answers without the adapter, (rows,).
        alignments: one for each wording; empty where answers are right, or where there is nothing to shuffle.
        uses_rslora: the flag, as configured.
        has_factors: whether any layer has a LoRA factor.
        header: None where there is no prompt or no chat template.
        stops: None where nothing was generated.
    """

    lacking: str
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
    header: Header | None = None
    stops: Stops | None = None

    def trial(self, wording: str, factor: float) -> Trial | None:
        """What was tried so; None where it was not."""
        found = (each for each in self.trials if each.wording == wording and each.factor == factor)
        return next(found, None)

    @property
    def best(self) -> Trial:
        """The trial in the chosen wording, at the chosen factor."""
        return next(each for each in self.trials if (each.wording, each.factor) == self.chosen)
