"""Requests logprobs of a record's probes from an endpoint, in the most detailed form that the server supports."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.http.client import EndpointClient, EndpointError, RequestRefusedError
from sft_ref.witnessing.record.probes import supervised_positions
from sft_ref.witnessing.record.schema import Probe, StoredRecord

from .prompts import TokenNames, text_of
from .protocol import Completion, ListedModels, ServedToken, tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COUNTS = (20, 5, 1)
"""Numbers of logprobs per position to try, in order: the maximum of vLLM, of OpenAI, and of the strictest servers."""


@dataclass(frozen=True)
class RequestForm:
    """A form of request.

    Attributes:
        as_ids: whether prompts are sent as token ids instead of texts.
        echoes: whether the server returns logprobs of the prompt; otherwise each position takes one request.
        count: number of most likely tokens to request.
    """

    as_ids: bool
    echoes: bool
    count: int

    def __str__(self) -> str:
        return (
            f"prompts as {'token ids' if self.as_ids else 'texts'}, {self.count} logprobs of"
            f" {'the prompt' if self.echoes else 'the next token'}"
        )


@dataclass(frozen=True)
class TokenizationMismatch:
    """A prompt that the server tokenizes differently.

    Attributes:
        due: number of tokens in the record.
        found: number of tokens on the server.
        place: index of the first different token, from 0; None if only the numbers are known.
    """

    due: int
    found: int
    place: int | None = None


@dataclass(frozen=True)
class ServedProbes:
    """An endpoint's results for the probes.

    Attributes:
        form: form of the requests.
        logprobs: logprobs at the record's `top_ids`, of their shape; NaN if the server does not list the token.
        likeliest: the most likely token at each position; "" if unknown.
        losses: mean loss of each probe's supervised tokens in nat; None if not all are known.
        miscounted: prompts that the server tokenizes differently.
        skipped: number of positions that could not be requested.
        is_nan: whether any logprob is NaN.
    """

    form: RequestForm
    logprobs: torch.Tensor
    likeliest: list[list[int | str]]
    losses: list[float | None]
    miscounted: tuple[TokenizationMismatch, ...]
    skipped: int
    is_nan: bool


def find_model(client: EndpointClient, name: str | None) -> str:
    """Returns the name of the model to request: the given one, or the only one on the server.

    Raises:
        EndpointError: the server has several models, or none.
    """
    if name is not None:
        return name
    names = [each.id for each in client.get("/models", ListedModels).data]
    if len(names) != 1:
        shown = ", ".join(names[:8]) or "none"
        raise EndpointError(f"{client.root}: has {len(names)} models ({shown}); choose one with --model NAME")
    return names[0]


class ProbeClient:
    """Sends requests for one model to an endpoint.

    Args:
        client: client of the endpoint.
        model: the model's name on the endpoint.
        tokenizer: the tokenizer of the training; None if there is none.
    """

    def __init__(self, client: EndpointClient, model: str, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self.client = client
        self.model = model
        self.tokenizer = tokenizer

    def ask(self, form: RequestForm, ids: Sequence[int]) -> Completion | None:
        """Returns the response to one prompt; None if no text is tokenized to these ids.

        Raises:
            EndpointError: there is no usable response.
        """
        prompt: Any = [*ids] if form.as_ids else text_of(self.tokenizer, ids)
        if prompt is None:
            return None
        content = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 1.0,
            "stream": False,
            "logprobs": form.count,
            "echo": form.echoes,
            "return_tokens_as_token_ids": True,
        }
        return self.client.post("/completions", content, Completion)

    def find_form(self, ids: Sequence[int]) -> RequestForm:
        """Finds the most detailed request form that the server answers with logprobs.

        Args:
            ids: token ids of a prompt for the trial.

        Raises:
            EndpointError: there is no such form.
        """
        reason = "it returns no logprobs"
        texts = (True, False) if self.tokenizer is not None else (True,)
        for as_ids, echoes, count in itertools.product(texts, (True, False), COUNTS):
            form = RequestForm(as_ids, echoes, count)
            try:
                answer = self.ask(form, ids)
            except RequestRefusedError as error:
                reason = str(error).removeprefix(f"{self.client.root}/completions: ")
                continue
            if answer is None:
                reason = "no prompt of the record can be sent as text"
                break
            found = tokens_of(answer)
            due = range(1, len(ids)) if echoes else range(1)
            if len(found) > due[-1] and all(found[at].logprob is not None for at in due):
                return form
        raise EndpointError(
            f"{self.client.root}: model {self.model!r} cannot be compared: {reason}; start the server so that"
            " /completions answers with logprobs"
        )


def request_probes(asker: ProbeClient, stored: StoredRecord) -> ServedProbes:
    """Requests the logprobs of all probes of a record.

    Raises:
        EndpointError: the record has no probes, or there is no usable response.
    """
    probes, top = stored.record.probes, stored.tensors["top_ids"].long()
    if not probes:
        raise EndpointError("the record has no probes: nothing can be asked")
    form = asker.find_form(probes[0].input_ids)
    names = TokenNames(
        asker.tokenizer, {*top.flatten().tolist(), *(i for each in probes for i in each.input_ids)} - {-1}
    )
    logprobs = torch.full(top.shape, torch.nan)
    likeliest: list[list[int | str]] = []
    losses: list[float | None] = []
    miscounted: list[TokenizationMismatch] = []
    skipped, is_nan = 0, False
    for number, probe in enumerate(probes):
        found, wrong = _ask_probe(asker, form, probe, names)
        miscounted += wrong
        losses.append(_loss(found, probe) if form.echoes else None)
        best: list[int | str] = []
        for place, position in enumerate(probe.positions):
            served = found.get(position)
            skipped += served is None
            listed = {} if served is None else served.top or {served.token: served.logprob or 0.0}
            is_nan |= any(value != value for value in listed.values())  # noqa: PLR0124  # NaN
            by_id = {names.id_of(token): value for token, value in listed.items()}
            first = max(listed, key=listed.__getitem__) if served is not None and served.top else ""
            own = names.id_of(first)
            best.append(first if own is None else own)
            for column, each in enumerate(top[number, place].tolist()):
                logprobs[number, place, column] = by_id.get(each, torch.nan)
        likeliest.append(best)
    return ServedProbes(form, logprobs, likeliest, losses, tuple(miscounted), skipped, is_nan)


def _ask_probe(
    asker: ProbeClient, form: RequestForm, probe: Probe, names: TokenNames
) -> tuple[dict[int, ServedToken], list[TokenizationMismatch]]:
    """Maps token indices of the probe to the server's results; also returns prompts that are tokenized differently."""
    ids = probe.input_ids
    if not form.echoes:
        found = {}
        for position in probe.positions:
            answer = asker.ask(form, ids[:position])
            if answer is None:
                continue
            if wrong := _miscounted(answer, ids[:position]):
                return {}, [wrong]
            if served := tokens_of(answer):
                found[position] = served[0]
        return found, []
    answer = asker.ask(form, ids)
    if answer is None:
        return {}, []
    served = tokens_of(answer)
    if wrong := _miscounted(answer, ids):
        return {}, [wrong]
    place = next(
        (at for at, (one, due) in enumerate(zip(served, ids, strict=False)) if not names.is_same(one.token, due)), None
    )
    if place is not None or len(served) < len(ids):
        return {}, [TokenizationMismatch(len(ids), min(len(served), len(ids)), place)]
    return dict(enumerate(served[: len(ids)])), []


def _miscounted(answer: Completion, ids: Sequence[int]) -> TokenizationMismatch | None:
    counted = answer.prompt_tokens
    return None if counted in {None, len(ids)} else TokenizationMismatch(len(ids), counted or 0)


def _loss(found: dict[int, ServedToken], probe: Probe) -> float | None:
    """Returns the mean loss of the supervised tokens; None if one is unknown."""
    due = supervised_positions(probe.labels)
    values = [found[at].logprob if at in found else None for at in due]
    known = [value for value in values if value is not None]
    return -sum(known) / len(known) if known and len(known) == len(values) else None
