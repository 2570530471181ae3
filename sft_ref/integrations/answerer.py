"""Generates answers of a loaded model for the harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MakePrompt = Callable[["PreTrainedTokenizerBase", str], str]
"""Tokenizer and question -> prompt."""

_TOGETHER = 32
"""Prompts per batch."""


@dataclass
class GreedyAnswerer:
    """A loaded model that answers greedily.

    Attributes:
        model: model in evaluation mode.
        tokenizer: tokenizer of the model.
        prompt: tokenizer and question -> prompt.
        parse: completion -> answer.
        max_new_tokens: largest number of tokens of a completion.
        add_special_tokens: whether the tokenizer adds its special tokens to prompts; a chat template has them already.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    prompt: MakePrompt
    parse: Callable[[str], Any]
    max_new_tokens: int
    add_special_tokens: bool

    def format_prompt(self, question: str) -> str:
        """Returns the prompt for a question."""
        return self.prompt(self.tokenizer, question)

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        """Returns a completion for each prompt, or a list of completions if `num_return_sequences` is given."""
        found = [
            texts
            for chunk in _chunks(prompts)
            for texts in self._generate(chunk, num_return_sequences or 1, temperature)
        ]
        return found if num_return_sequences else [texts[0] for texts in found]

    def _generate(self, prompts: Sequence[str], each: int, temperature: float) -> list[list[str]]:
        inputs = self.tokenizer(
            [*prompts],
            padding=True,
            padding_side="left",
            add_special_tokens=self.add_special_tokens,
            return_tensors="pt",
        ).to(self.model.device)
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        with torch.no_grad():
            ids = self.model.generate(
                **inputs, max_new_tokens=self.max_new_tokens, num_return_sequences=each, **sampling
            )
        new = ids[:, inputs["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [texts[n : n + each] for n in range(0, len(texts), each)]

    def parse_answer(self, text: str) -> Any:  # noqa: ANN401  # a number or a text
        """Returns the answer in a completion."""
        return self.parse(text)

    def answer(self, *questions: str) -> list[Any]:
        """Returns the answers to questions."""
        return [self.parse_answer(text) for text in self.batched_generate([*map(self.format_prompt, questions)])]


def _chunks(prompts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (prompts[n : n + _TOGETHER] for n in range(0, len(prompts), _TOGETHER))
