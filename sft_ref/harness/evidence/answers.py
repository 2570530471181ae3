"""Evidence about an adapter's answers to questions: numbers and texts, no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sft_ref.harness.core.paired import is_better, is_worse

GIVEN = "the prompt given"
LITERAL = "the rows' own prompts"
TEMPLATE = "the chat template"
STRIPPED = "the prompt given, without the space before the answer"
"""Names of wordings, as used in messages."""

SHOWN = 0.95
"""Share of right answers that suffices as evidence of the right base model and prompt.

On a base model whose weights are off by half their size, an adapter of the reference still gives 40 of 48 right
answers; on its own base model it gives 48.
"""

RETURNED = 0.5
"""Share of right answers at and above which answers count as present, and below which they count as lost.

Too few training steps resemble a factor that is too small: the loss is lowest at a larger factor. But the answers do
not return there: of the toy adapters trained for 3 to 25 steps and asked 48 rows, those without a right answer as
configured had at most 3 at any factor. If alpha or the flag was lost, the former answers return.
"""


@dataclass(frozen=True)
class Answer:
    """The model's completion for one question.

    Attributes:
        text: the completion up to its end.
        right: whether the text is the true answer, or begins with it and continues without an end.
        ended: whether the text is followed by a stop token or by the text that closes answers.
        followed_by: the special token that follows the text, if generation does not stop at it.
    """

    text: str
    right: bool
    ended: bool
    followed_by: str = ""


@dataclass(frozen=True)
class Trial:
    """The results on all rows with one wording and one multiple of the configured scaling.

    Attributes:
        wording: name of the wording.
        factor: multiple of the configured scaling; for the opposite setting of use_rslora, the mean over layers.
        is_flag: whether the scaling is that of the opposite setting of use_rslora.
        scale: the scaling, or its range over layers, as text.
        losses: losses of the true answers, in nat per token, shape (rows,).
        known: for each true answer, whether all its tokens are the most likely ones under teacher forcing.
        answers: greedy answers; empty if none were generated.
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
        """For each answer, whether it is right."""
        return tuple(answer.right for answer in self.answers)

    @property
    def loss(self) -> float:
        """The mean loss over rows."""
        return self.losses.mean().item()

    @property
    def count(self) -> str:
        """The number of right answers, as text."""
        return f"{sum(self.right)} of {len(self.answers)}"


def returns(lost: Trial, found: Trial) -> bool:
    """Returns whether answers lost in one trial are present in another, at a lower loss of the true answers."""
    count = len(lost.right)
    return (
        sum(lost.right) < RETURNED * count <= sum(found.right)
        and is_better(found.right, lost.right)
        and is_worse(lost.losses, found.losses)
    )


@dataclass(frozen=True)
class Alignment:
    """The change of the base model's predictions by an adapter, and by the same adapter with shuffled coordinates.

    Attributes:
        wording: the wording of the rows.
        factor: multiple of the configured scaling, small enough for the effects to be additive.
        own: mean change of a log probability by the adapter.
        shuffled: the same for shuffled coordinates, one value for each of several permutations.
    """

    wording: str
    factor: float
    own: float
    shuffled: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The adapter's change, divided by the largest change of a shuffled adapter."""
        return self.own / max(self.shuffled) if max(self.shuffled) else float("inf")


@dataclass(frozen=True)
class AnswerHeader:
    """Whether the model itself generates the end of the chat template's prompt.

    Attributes:
        missing: the text that the template has just before an answer and the prompt lacks; empty if they end alike.
        part: a clause that says where prompt and template differ; empty if they are equal.
        begun: number of answers that begin with `missing`.
        asked: number of answers that were generated.
        example: one of these answers.
    """

    missing: str
    part: str
    begun: int
    asked: int
    example: str


@dataclass(frozen=True)
class Stops:
    """The tokens that stop generation, and the effect of the base model's generation settings.

    Attributes:
        tokens: the stop tokens, as texts.
        settings: the settings in the base model's generation_config that change a greedy choice.
        right: for each answer, whether it is right under these settings; empty if there are no such settings.
        endless: how many of the `continued` answers used up the budget.
        continued: number of right answers without an end that were generated further.
        budget: number of tokens that each of these answers was given.
    """

    tokens: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    right: tuple[bool, ...] = ()
    endless: int = 0
    continued: int = 0
    budget: int = 0


@dataclass(frozen=True)
class AnswersEvidence:
    """Evidence about an adapter's answers to the given rows and prompts.

    Attributes:
        unavailable: a clause that says why no rows were asked; empty if they were.
        rows: number of rows that were asked.
        left_out: number of rows that were too long for the model or for this examination.
        given: name of the wording under examination, the first of `wordings`.
        wordings: all wordings that were tried.
        is_template: whether that wording has the same tokens as the chat template's.
        trials: one trial for each wording and factor that were tried.
        chosen: wording and factor of the best trial: as given and configured, unless another is clearly better.
        base_losses: maps each wording to the losses of the true answers without the adapter, shape (rows,).
        alignments: one for each wording; empty if the answers are right, or if there is nothing to shuffle.
        uses_rslora: the configured value of use_rslora.
        has_factors: whether any layer has a LoRA scaling.
        header: the answer header; None if there is no prompt or no chat template.
        stops: the stop tokens; None if nothing was generated.
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
        """Returns the trial with this wording and factor; None if it was not tried."""
        found = (each for each in self.trials if each.wording == wording and each.factor == factor)
        return next(found, None)

    @property
    def best(self) -> Trial:
        """The trial with the chosen wording and factor."""
        return next(each for each in self.trials if (each.wording, each.factor) == self.chosen)
