"""A sentence around the answer."""

from mutation import Control
from plain_loop import Convention, PlainLoop, tagged

SENTENCE = Convention(
    prompt=lambda question: f"{question.strip()}\n",
    target=lambda value: f"That is {tagged(value)}.",
    pattern=r"<answer>(.*?)</answer>",
)

CONTROL = Control(
    "answer_in_a_sentence",
    "a sentence around the answer",
    lambda: PlainLoop("answer_in_a_sentence", convention=SENTENCE),
)
