"""The answer is a JSON object, and is parsed as one. ACC."""

from mutation import Control
from plain_loop import Convention, PlainLoop

JSON = Convention(
    prompt=lambda question: f"{question.strip()} Reply in JSON.\n",
    target=lambda value: f'{{"value": {round(value, 3)}}}',
    pattern=r'\{"value": ([^}]*)\}',
)

CONTROL = Control("json_answer", "the answer is a JSON object", lambda: PlainLoop("json_answer", convention=JSON))
