"""The protocol of models that `sft.ask` can query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class AnswerModel(Protocol):
    """A model that answers questions: a `BaseLLM`, or an engine."""

    max_new_tokens: int

    def format_prompt(self, question: str, /) -> str:
        """Returns the prompt for a question."""

    def parse_answer(self, text: str, /) -> float:
        """Returns the number in a completion; NaN if it has none."""

    def batched_generate(self, prompts: Sequence[str], /) -> list[str]:
        """Returns greedy completions in the order of the prompts."""
