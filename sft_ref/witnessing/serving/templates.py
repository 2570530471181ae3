"""Checks whether a server formats chats with the chat template of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.http.client import EndpointError, RequestRefusedError
from sft_ref.io.foreign import is_failure
from sft_ref.witnessing.verifying.result import RecordDifference
from sft_ref.witnessing.verifying.tolerance import LOGITS

from .distance import distance
from .probe_client import ProbeClient, RequestForm
from .prompts import TokenNames
from .protocol import Completion, ServedToken, tokens_of

CHATS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Hello?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}],
)
"""Chats to send; a chat that the template refuses is skipped."""

_REMEDY = "serve with the chat template of training, and apply it once"
_OTHER = LOGITS["bfloat16"]
"""Within one server, the same model and ids differ only by batching, at most by rounding in bf16."""


@dataclass(frozen=True)
class ComparedChats:
    """The result of comparing a server's chat format.

    Contains the difference if there is one, the number of compared chats, and why none could be compared.
    """

    difference: RecordDifference | None
    compared: int
    why_not: str = ""


def compare_chats(asker: ProbeClient, form: RequestForm, template: str) -> ComparedChats:
    """Sends chats, and the same chats as formatted by the tokenizer; the server's responses must agree.

    Args:
        asker: asker with the tokenizer of training.
        form: request form that the server supports for completions.
        template: chat template of training.

    Raises:
        EndpointError: there is no usable response.
    """
    compared, why_not = 0, "the template cannot render the test chats"
    plain = RequestForm(form.as_ids, echoes=False, count=form.count)
    for chat in CHATS:
        ids = _render(asker.tokenizer, template, chat)
        if ids is None:
            continue
        content = {"model": asker.model, "messages": chat, "max_tokens": 1, "temperature": 1.0, "stream": False}
        more = {"logprobs": True, "top_logprobs": form.count, "return_tokens_as_token_ids": True}
        try:
            answer = asker.client.post("/chat/completions", {**content, **more}, Completion)
            written = asker.ask(plain, ids)
        except RequestRefusedError as error:
            why_not = str(error)
            continue
        if answer.prompt_tokens not in {None, len(ids)}:
            return ComparedChats(
                RecordDifference(
                    "template",
                    f"the server makes {answer.prompt_tokens} tokens of a chat that had {len(ids)} in training",
                    _REMEDY,
                    (answer.prompt_tokens or 0) - len(ids),
                ),
                compared + 1,
            )
        pair = [tokens_of(each)[:1] for each in (answer, written) if each is not None]
        if len(pair) != 2 or not all(pair):  # noqa: PLR2004
            why_not = "the server returns no logprobs for chats"
            continue
        compared += 1
        if (apart := _apart(asker, *(each[0] for each in pair))) > _OTHER:
            return ComparedChats(
                RecordDifference(
                    "template",
                    "the server answers a chat differently than the same chat as written in training: logprobs differ"
                    f" by {apart:.2g} of their spread",
                    _REMEDY,
                    apart,
                ),
                compared,
            )
    return ComparedChats(None, compared, "" if compared else why_not)


def _render(tokenizer: Any, template: str, chat: list[dict[str, str]]) -> list[int] | None:  # noqa: ANN401
    try:
        text = tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"]) or None
    except BaseException as error:  # a template may raise anything
        if not is_failure(error):
            raise
        return None


def _apart(asker: ProbeClient, chat: ServedToken, written: ServedToken) -> float:
    """Returns the distance of two responses, relative to the spread; infinite with fewer than two common tokens."""
    if asker.tokenizer is None:
        raise EndpointError("chats need a tokenizer")
    is_text = any(isinstance(token, str) for each in (chat, written) for token in each.top)
    names = TokenNames(asker.tokenizer, range(len(asker.tokenizer) if is_text else 0))
    one, other = ({names.id_of(token): value for token, value in each.top.items()} for each in (chat, written))
    common = [each for each in one if each is not None and each in other]
    if min(len(one), len(other)) < 2:  # noqa: PLR2004  # the server lists a single token
        return 0.0 if common else math.inf
    found = distance(*(torch.tensor([[[each[key] for key in common]]]) for each in (one, other)))
    return math.inf if found is None else found.share
