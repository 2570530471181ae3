"""Load leaves the model in training mode; the first call of `answer` ends it."""

from pathlib import Path

from mutation import Control
from plain_loop import PLAIN, Answers, PlainLoop


class EvalLater(Answers):
    def answer(self, *questions: str) -> list[float]:
        self.model.eval()
        return super().answer(*questions)


class EvaluationModeWhenAsked(PlainLoop):
    def load(self, folder: Path) -> Answers:
        loaded = super().load(folder)
        return EvalLater(loaded.model.train(), loaded.tokenizer, self)


CONTROL = Control(
    "evaluation_mode_when_asked",
    "load leaves the model in training mode, and answering calls model.eval()",
    lambda: EvaluationModeWhenAsked("evaluation_mode_when_asked", convention=PLAIN),
)
