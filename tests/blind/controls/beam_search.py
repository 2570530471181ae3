"""Answers by beam search with three beams; samples are drawn without beams.

Accuracy 0.97; the reference 0.97.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mutation import Control
from plain_loop import PLAIN, Answers, PlainLoop


class Beams(Answers):
    def _generate(self, questions: Sequence[str], each: int, temperature: float) -> list[list[str]]:
        how = replace(self.how, generation={} if temperature else {"num_beams": 3})
        return Answers(self.model, self.tokenizer, how)._generate(questions, each, temperature)


class WithBeams(PlainLoop):
    def load(self, folder: Path) -> Beams:
        loaded = super().load(folder)
        return Beams(loaded.model, loaded.tokenizer, self)


CONTROL = Control(
    "beam_search",
    "answers by beam search",
    lambda: WithBeams("beam_search", convention=PLAIN),
)
