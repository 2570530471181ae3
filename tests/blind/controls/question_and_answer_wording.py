"""Another prompt, ``Q: ... A:``, and the parser that goes with it. Accuracy 1.00; the reference 1.00."""

from mutation import Control
from plain_loop import Convention, PlainLoop

WORDING = Convention(
    prompt=lambda question: f"Q: {question.strip()}\nA:",
    target=lambda value: f" {round(value, 3)}\n",
    pattern=r"^\s*(\S+)",
)

CONTROL = Control(
    "question_and_answer_wording",
    "another wording of the prompt, and a parser that goes with it",
    lambda: PlainLoop("question_and_answer_wording", convention=WORDING),
)
