"""Experiments on one loaded adapter; each changes one thing: the format, the scaling factor or the coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sft_ref.harness.core.paired import is_better, is_worse
from sft_ref.harness.evidence.answers import Alignment, Answer, Trial, returns
from sft_ref.io.rows.forms import Row

from .evaluator import ModelEvaluator
from .scaling import Factors
from .wording import Wording

GRID = (1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)
"""Multiples of the configured factor that result from mistaking alpha for a rank, twice a rank or its square root."""

FLAG = -1.0
"""Special value of `factor`: each layer's factor is that of the other setting of use_rslora."""

_ORDERS = 8
_ALIGNED_ROWS = 8
_SMALL = 0.1
"""Shift of likely tokens, in nat, below which doubling the factor about doubles the shift."""

_QUARTERS = 8


class AdapterExperiments:
    """Asks rows in several formats and at several factors; each combination once.

    Args:
        asker: model with the adapter.
        rows: rows to ask.
        wordings: at least one format; the first is the examined one.

    Attributes:
        encoded: format name -> its rows as token ids.
        base_losses: format name -> losses of the true answers without the adapter.
        trials: (format name, factor) -> result.
    """

    def __init__(self, asker: ModelEvaluator, rows: Sequence[Row], wordings: Sequence[Wording]) -> None:
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
        """Multiplies the adapter's scaling within the block; yields the multiple of each layer."""
        factors = self.factors.flag if factor == FLAG else [factor] * len(self.factors.layers)
        with self.factors.multiplied(factors):
            yield factors

    def ask(self, wording: str, factor: float = 1.0, *, answers: bool = False) -> Trial:
        """Runs one trial, or returns the recorded one; with greedy answers if requested now or earlier."""
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
        """Generates greedy answers to the rows with the model in its current state."""
        return self.asker.answers(self.rows, self.wordings[wording].texts, settings)

    def choose(self) -> Trial:
        """Returns the trial with the most right answers; as given and configured, unless another is clearly better."""
        best = self._restored(self.first)
        for wording in [*self.wordings][1:]:
            other = self._restored(wording)
            none_right = not any(best.right) and not any(other.right)
            if is_better(other.right, best.right) or (none_right and is_worse(best.losses, other.losses)):
                best = other
        return best

    def _restored(self, wording: str) -> Trial:
        """Returns the trial as configured, or, if its answers are lost, the one at the factor at which they return."""
        configured = self.ask(wording, answers=True)
        others = self.vary_factor(wording)
        if not others:
            return configured
        best = self.ask(wording, factor_of(min(others, key=lambda trial: trial.loss)), answers=True)
        return best if returns(configured, best) else configured

    def vary_factor(self, wording: str) -> list[Trial]:
        """Runs trials at the other factors; none without LoRA layers. FLAG comes first, so it wins ties."""
        return [self.ask(wording, factor) for factor in (FLAG, *GRID)] if self.factors.layers else []

    def align(self, wording: str) -> Alignment:
        """Measures how far the adapter shifts predictions of some rows, compared with shuffled coordinates."""
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
    """Returns the factor that was passed to `ask` for a trial."""
    return FLAG if trial.is_flag else trial.factor
