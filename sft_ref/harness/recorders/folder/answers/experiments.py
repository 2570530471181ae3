"""The experiments on one loaded adapter: each changes one thing, the wording, the factor or the coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sft_ref.harness.core.paired import is_better, is_worse
from sft_ref.harness.evidence.answers import Alignment, Answer, Trial
from sft_ref.io.rows.forms import Row

from .asking import Asker
from .scaling import Factors
from .wording import Wording

GRID = (1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)
"""Multiples of the configured factor: those that an alpha taken for a rank, twice it, or its square root give."""

FLAG = -1.0
"""Stands in `factor` for what the other setting of use_rslora gives, layer by layer."""

RETURNED = 0.5
"""Share of right answers from which on they are there, and below which they are lost.

Too few steps look like a factor that is too small: the loss is lowest beyond it. But answers do not return there: of
the toys trained for 3 to 25 steps, at 48 rows, none gave more than 3 right answers at any factor where it gave
none as configured; where alpha or the flag was lost, they come back to what they were.
"""

_ORDERS = 8
_ALIGNED_ROWS = 8
_SMALL = 0.1
"""Nat by which the likely tokens move, below which twice the factor moves them about twice as much."""

_QUARTERS = 8


class AdapterExperiments:
    """Asks rows in several wordings, at several factors; each once.

    Args:
        asker: the model with the adapter.
        rows: the rows that are asked.
        wordings: at least one; the first is what is examined.

    Attributes:
        encoded: wording -> its rows as ids.
        base_losses: wording -> losses of the true answers without the adapter.
        trials: (wording, factor) -> what was found.
    """

    def __init__(self, asker: Asker, rows: Sequence[Row], wordings: Sequence[Wording]) -> None:
        self.asker, self.rows = asker, rows
        self.wordings = {wording.name: wording for wording in wordings}
        self.first = wordings[0].name
        self.factors = Factors(asker.model)
        self.encoded = {name: [asker.encode(text) for text in each.texts] for name, each in self.wordings.items()}
        with asker.model.disable_adapter():
            self.base_losses = {name: asker.losses(rows)[0] for name, rows in self.encoded.items()}
        self.trials: dict[tuple[str, float], Trial] = {}

    @contextmanager
    def at(self, factor: float) -> Iterator[list[float]]:
        """Within it, the adapter's scaling is multiplied; gives the multiple of each layer."""
        factors = self.factors.flag if factor == FLAG else [factor] * len(self.factors.layers)
        with self.factors.multiplied(factors):
            yield factors

    def ask(self, wording: str, factor: float = 1.0, *, answers: bool = False) -> Trial:
        """One trial; with greedy answers if they are asked for, or were before."""
        found = self.trials.get((wording, factor))
        if found is None or (answers and not found.answers):
            with self.at(factor) as factors:
                losses, known = self.asker.losses(self.encoded[wording])
                found = Trial(
                    wording=wording,
                    factor=sum(factors) / len(factors) if factors else factor,
                    is_flag=factor == FLAG,
                    scale=self.factors.describe(factors) if factors else "",
                    losses=losses,
                    known=known,
                    answers=self.answers(wording) if answers else (),
                )
            self.trials[wording, factor] = found
        return found

    def answers(self, wording: str, settings: Mapping[str, Any] | None = None) -> tuple[Answer, ...]:
        """Greedy answers to the rows as the model is now."""
        return self.asker.answers(self.rows, self.wordings[wording].texts, settings)

    def choose(self) -> Trial:
        """The trial that most answers come back in; as given and configured, unless another is clearly better."""
        best = self._restored(self.first)
        for wording in [*self.wordings][1:]:
            other = self._restored(wording)
            none_right = not any(best.right) and not any(other.right)
            if is_better(other.right, best.right) or (none_right and is_worse(best.losses, other.losses)):
                best = other
        return best

    def _restored(self, wording: str) -> Trial:
        """As configured, or where answers are lost then, at the factor at which they return."""
        configured = self.ask(wording, answers=True)
        others = self.vary_factor(wording)
        if not others:
            return configured
        best = self.ask(wording, factor_of(min(others, key=lambda trial: trial.loss)), answers=True)
        return best if returns(configured, best) else configured

    def vary_factor(self, wording: str) -> list[Trial]:
        """Losses at other factors; none where no layer has one. Of equal ones the first names the flag."""
        return [self.ask(wording, factor) for factor in (FLAG, *GRID)] if self.factors.layers else []

    def align(self, wording: str) -> Alignment:
        """How far the adapter moves predictions of some rows, against itself with shuffled coordinates."""
        rows = self.encoded[wording][:_ALIGNED_ROWS]
        with self.at(0.0):
            still = self.asker.log_probabilities(rows)

        def effect(factor: float) -> float:
            with self.at(factor):
                moved = self.asker.log_probabilities(rows) - still
            return float((still.exp() * moved.square()).sum(-1).mean().sqrt())

        factor = 1.0
        for _ in range(_QUARTERS):
            if effect(factor) <= _SMALL:
                break
            factor /= 4
        shuffled = []
        for seed in range(_ORDERS):
            with self.factors.shuffled(seed):
                shuffled.append(effect(factor))
        return Alignment(wording, factor, effect(factor), tuple(shuffled))


def factor_of(trial: Trial) -> float:
    """The factor by which a trial was asked for."""
    return FLAG if trial.is_flag else trial.factor


def returns(lost: Trial, found: Trial) -> bool:
    """Whether answers that are lost in one trial are there in another, and the true answers cost less."""
    count = len(lost.right)
    return (
        sum(lost.right) < RETURNED * count <= sum(found.right)
        and is_better(found.right, lost.right)
        and is_worse(lost.losses, found.losses)
    )
