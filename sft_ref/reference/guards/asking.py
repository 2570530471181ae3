"""What `sft.ask` needs of whom it asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class AskedModel(Protocol):
    """Who is asked questions: a `BaseLLM`, or an engine in its place."""

    max_new_tokens: int

    def format_prompt(self, question: str, /) -> str:
        """Question to prompt."""

    def parse_answer(self, text: str, /) -> float:
        """Completion to number; NaN where it has none."""

    def batched_generate(self, prompts: Sequence[str], /) -> list[str]:
        """Greedy completions in the order of the prompts."""
