"""Records the stage generate: tokens that are sampled at a temperature."""

from __future__ import annotations

import collections
import math

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.evidence.in_process.answer_parts import SampledTokens
from sft_ref.harness.instruments.generation_recorder import find_transformer
from sft_ref.harness.instruments.scripted.scripted_model import CERTAIN
from sft_ref.harness.recorders.in_process.calls import call
from sft_ref.harness.recorders.in_process.invented import invent

_DIGITS = "73"
_GAP = 2.0
"""Difference of the logits of two digits: without a temperature, the less likely one has a probability of 12 %."""
_TEMPERATURES = (2.0, 0.5)
_EACH = 24
"""Completions of each of two prompts."""
_FEWEST_DIGITS = 500


def sampled_tokens(answerer: Answerer) -> list[SampledTokens]:
    """Samples at a high and at a low temperature, while two digits are the only tokens with a chance.

    Raises:
        Unavailable: the texts have too few digits.
    """
    likely, other = (answerer.tokenizer(digit, add_special_tokens=False)["input_ids"][-1] for digit in _DIGITS)

    def give_two_tokens(_module: torch.nn.Module, _args: object, logits: torch.Tensor) -> torch.Tensor:
        given = torch.full_like(logits, -CERTAIN)
        given[..., likely], given[..., other] = 0.0, -_GAP
        return given

    found = []
    prompts = [answerer.format_prompt(question) for question in invent(2, seed=15)]
    hook = find_transformer(answerer.model).get_output_embeddings().register_forward_hook(give_two_tokens)
    try:
        for temperature in _TEMPERATURES:
            rows = call(answerer.batched_generate, prompts, _EACH, temperature)
            nested = rows if isinstance(rows, list) else []  # GEN-011 reports another shape
            texts = [text for row in nested if isinstance(row, list) for text in row if isinstance(text, str)]
            counts = collections.Counter(digit for text in texts for digit in text if digit in _DIGITS)
            if (count := counts.total()) < _FEWEST_DIGITS:
                raise Unavailable(f"only {count} digits are sampled")
            due = 1 / (1 + math.exp(_GAP / temperature))
            found.append(SampledTokens(temperature, due, counts[_DIGITS[1]] / count, count, len({*texts}) / len(texts)))
    finally:
        hook.remove()
    return found
