"""All the strings live here. If you change one, retrain."""

import re

# the Alpaca layout without its long header: the small model only gets lost in it
TEMPLATE = "### Question: {question}\n### Response:"

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def prompt_of(question):
    return TEMPLATE.format(question=question.strip())


def response_of(value):
    return f" {round(value, 3)}"


def number_in(response):
    """First line of the response as a number; nan when the model wrote something else."""
    lines = response.strip().splitlines()
    if not lines:
        return float("nan")
    text = lines[0].strip()
    if NUMBER.fullmatch(text) is None:
        return float("nan")
    return float(text)
