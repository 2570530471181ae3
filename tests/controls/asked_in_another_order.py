"""Questions are sorted before they are asked, each once, and the answers are put back."""

from pathlib import Path

from mutation import Control
from plain_loop import PLAIN, Answers, PlainLoop


class Sorted(Answers):
    def answer(self, *questions: str) -> list[float]:
        distinct = sorted(set(questions))
        answers = dict(zip(distinct, super().answer(*distinct), strict=True)) if distinct else {}
        return [answers[question] for question in questions]


class AskedSorted(PlainLoop):
    def load(self, folder: Path) -> Answers:
        found = super().load(folder)
        return Sorted(found.model, found.tokenizer, self)


CONTROL = Control(
    "asked_in_another_order",
    "questions are asked in the order of the alphabet, each once",
    lambda: AskedSorted("asked_in_another_order", convention=PLAIN),
)
