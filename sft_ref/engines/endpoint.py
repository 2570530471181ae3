"""A model behind an OpenAI-style endpoint: takes prompts as text and returns completions as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sft_ref.http.client import EndpointClient, EndpointError, RequestRefusedError
from sft_ref.reference import prompt
from sft_ref.reference.base_llm import MAX_NEW_TOKENS

TOGETHER = 16
"""Prompts per request; a server that accepts only one prompt per request gets one request per prompt."""


@dataclass(frozen=True)
class _Continuation:
    text: str
    index: int = 0


@dataclass(frozen=True)
class _Completions:
    choices: list[_Continuation]


class ServedModel:
    """A model of an endpoint that completes prompts greedily, up to its own end token.

    Args:
        client: client of the endpoint.
        name: name of the model at the endpoint.
    """

    def __init__(self, client: EndpointClient, name: str) -> None:
        self.client, self.name = client, name
        self.max_new_tokens = MAX_NEW_TOKENS
        self._together = TOGETHER

    def format_prompt(self, question: str) -> str:
        """See `sft_ref.format_prompt`."""
        return prompt.format_prompt(question)

    def parse_answer(self, text: str) -> float:
        """See `sft_ref.parse_answer`."""
        return prompt.parse_answer(text)

    def batched_generate(self, prompts: Sequence[str]) -> list[str]:
        """Returns the completions in the order of the prompts.

        Raises:
            EndpointError: the endpoint returns no usable response.
        """
        texts: list[str] = []
        while len(texts) < len(prompts):
            part = prompts[len(texts) : len(texts) + self._together]
            try:
                texts += self._ask([*part] if len(part) > 1 else part[0], len(part))
            except RequestRefusedError:
                if self._together == 1 or len(part) == 1:
                    raise
                self._together = 1
        return texts

    def _ask(self, given: str | list[str], count: int) -> list[str]:
        content = {
            "model": self.name,
            "prompt": given,
            "max_tokens": self.max_new_tokens,
            "temperature": 0,
            "stream": False,
        }
        found = self.client.post("/completions", content, _Completions).choices
        if len(found) != count:
            raise EndpointError(
                f"{self.client.root}: returns {len(found)} completions for {count} prompts; is it an OpenAI-style API?"
            )
        return [each.text for each in sorted(found, key=lambda each: each.index)]
