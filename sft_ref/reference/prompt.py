"""Texts: question to prompt, number to target, completion to number.

Independent of tokens, tensors and models. The contract fixes the format: the model is trained on
``question <answer>value</answer>`` and prompted with ``question <answer>``, without a chat template.
"""

import math
import re

OPEN_TAG = "<answer>"
CLOSE_TAG = "</answer>"

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")  # possessive fails in 3.11.2


def format_prompt(question: str) -> str:
    """Returns the prompt: the question without surrounding white space, and an opening tag."""
    return f"{question.strip()} {OPEN_TAG}"


def format_value(value: float | str) -> str:
    """Returns the answer as the model should write it: a text, or a number with at most three decimals (``0.621``)."""
    return value.strip() if isinstance(value, str) else str(round(value, 3))


def format_example(question: str, value: float | str) -> dict[str, str]:
    """Returns the training text in two parts; only the second is supervised.

    Returns:
        ``question``, the prompt exactly as at inference, and ``answer``, the completion that the model should learn.
    """
    return {"question": format_prompt(question), "answer": f"{format_value(value)}{CLOSE_TAG}"}


def parse_answer(text: str) -> float:
    """Parses the number in a completion or a whole text: before the first closing tag, after the last opening tag.

    Either tag may be missing: the prompt contains the opening tag, and generation may stop before the closing tag.

    Returns:
        A finite number; NaN if the text is anything but one ASCII decimal (sign and exponent allowed)
        surrounded by white space. Takes linear time. Never raises.
    """
    answer = text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2].strip()
    if not _DECIMAL.fullmatch(answer):
        return math.nan
    value = float(answer)
    return value if math.isfinite(value) else math.nan
