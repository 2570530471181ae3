"""Defines the responses of OpenAI-style endpoints, in the variants that servers use."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Token = int | str
"""A token as a server names it: its id, or its text."""

LEAST = -9999.0
"""Represents a logprob of minus infinity, as in vLLM."""

_ID = "token_id:"
"""Prefix of token ids in vLLM, when ids are requested."""


@dataclass(frozen=True)
class ListedModel:
    """A model on the server."""

    id: str


@dataclass(frozen=True)
class ListedModels:
    """The response of ``/models``."""

    data: list[ListedModel]


@dataclass(frozen=True)
class _Candidate:
    token: str = ""
    id: int | None = None
    logprob: float | None = None


@dataclass(frozen=True)
class _Generated(_Candidate):
    top_logprobs: list[_Candidate] = field(default_factory=list)


@dataclass(frozen=True)
class _Logprobs:
    """The first three fields are used for completions, `content` for chats; llama.cpp uses `content` for both."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[_Generated] | None = None


@dataclass(frozen=True)
class _Choice:
    logprobs: _Logprobs | None = None


@dataclass(frozen=True)
class _Usage:
    prompt_tokens: int | None = None


@dataclass(frozen=True)
class Completion:
    """The response of ``/completions`` and of ``/chat/completions``."""

    choices: list[_Choice]
    usage: _Usage | None = None

    @property
    def prompt_tokens(self) -> int | None:
        """Number of tokens in the prompt according to the server; None if it does not report it."""
        return self.usage.prompt_tokens if self.usage else None


@dataclass(frozen=True)
class ServedToken:
    """A token with its logprob, and the most likely tokens at its position.

    Attributes:
        token: the token as the server names it.
        logprob: its logprob; None for the first token of a prompt.
        top: maps the most likely tokens to their logprobs.
    """

    token: Token
    logprob: float | None
    top: dict[Token, float]


def tokens_of(completion: Completion) -> list[ServedToken]:
    """Returns the tokens of a response with their logprobs; empty if the server returns none."""
    found = completion.choices[0].logprobs if completion.choices else None
    if found is None:
        return []
    if found.content is not None:
        return [
            ServedToken(
                _token(each.token, each.id),
                _finite(each.logprob),
                {
                    _token(one.token, one.id): _number(one.logprob)
                    for one in each.top_logprobs
                    if one.logprob is not None
                },
            )
            for each in found.content
        ]
    names, values = found.tokens or [], found.token_logprobs or []
    tops = found.top_logprobs or [None] * len(names)
    return [
        ServedToken(_token(name), _finite(value), {_token(key): _number(each) for key, each in (top or {}).items()})
        for name, value, top in zip(names, values, tops, strict=False)
    ]


def _token(text: str, number: int | None = None) -> Token:
    if number is not None:
        return number
    tail = text.removeprefix(_ID)
    return int(tail) if tail != text and tail.isdecimal() else text


def _finite(value: float | None) -> float | None:
    return None if value is None else _number(value)


def _number(value: float | None) -> float:
    """Converts a logprob; NaN stays NaN, since it is a fault of the served model, and impossible values become NaN."""
    return max(value, LEAST) if value is not None and value < 1 else math.nan
