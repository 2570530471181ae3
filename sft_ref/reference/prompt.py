"""Texts: question to prompt, number to target, completion to number.

Knows nothing of tokens, tensors or models. The form is fixed by the contract: the model is trained on
``question <answer>value</answer>`` and asked with ``question <answer>``, with no chat template.
"""

import math
import re

OPEN_TAG = "<answer>"
CLOSE_TAG = "</answer>"

_DECIMAL = re.compile(r"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+")  # possessive: linear time


def format_prompt(question: str) -> str:
    """The text that the model is asked to complete: the question without surrounding white space, and an open tag."""
    return f"{question.strip()} {OPEN_TAG}"


def format_value(value: float | str) -> str:
    """The answer as the model is to write it: a text, or a number with at most three decimals, as ``0.621``."""
    return value.strip() if isinstance(value, str) else str(round(value, 3))


def format_example(question: str, value: float | str) -> dict[str, str]:
    """Training text in two parts; only the second is supervised.

    Returns:
        ``question``, the prompt exactly as inference sends it, and ``answer``, what the model is to add to it.
    """
    return {"question": format_prompt(question), "answer": f"{format_value(value)}{CLOSE_TAG}"}


def parse_answer(text: str) -> float:
    """The number in a completion or a whole text: what stands before the first closing tag, after the last open one.

    Either tag may be missing: the prompt has consumed the open one, and generation may stop before the closing one.

    Returns:
        A finite number; NaN where the text holds anything but one ASCII decimal (sign and exponent allowed)
        surrounded by white space. Never raises.
    """
    answer = text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2].strip()
    if not _DECIMAL.fullmatch(answer):
        return math.nan
    value = float(answer)
    return value if math.isfinite(value) else math.nan
