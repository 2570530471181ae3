"""Renders fixed conversations with a chat template, to find faults that affect any conversation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from sft_ref.harness.evidence.views import ChatTemplate
from sft_ref.io.foreign import first_line
from sft_ref.io.rows.forms import Row

from .tool_calls import observe_tools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = tuple[str, str]

_QUESTION = """Is 'this' the "same" text,
this & that?"""
"""Contains quotes, a line break and an ampersand, which languages escape differently; no tag: tags mark reasoning."""
_ANSWER = _QUESTION.replace("Is", "It is")
_SYSTEM = _QUESTION.replace("Is", "You say whether")
_DIALOGUES: tuple[Sequence[Turn], ...] = (
    (("user", _QUESTION), ("assistant", _ANSWER), ("user", _QUESTION.replace("Is", "And is"))),
    (("user", _QUESTION),),
)
"""Dialogues, longest first; the first that the template accepts is examined."""

_MOMENT = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
_SAME_DAY = _MOMENT.replace(hour=16, minute=17, second=18)
_ANOTHER_DAY = _MOMENT.replace(year=2021, month=12, day=30)


def observe_template(template: str, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row] = ()) -> ChatTemplate:
    """Records how a chat template renders conversations.

    Args:
        template: chat template, in Jinja.
        tokenizer: tokenizer whose special tokens the template may use.
        rows: rows that the template formats; the contents of some may be lists of parts.
    """
    refusal, render = "", partial(_render, template, tokenizer)
    for turns in _DIALOGUES:
        text = render(_messages(turns))
        if isinstance(text, str):
            break
        refusal = refusal or first_line(text)
    else:
        return ChatTemplate(refusal=refusal)
    with_system = render(_messages((("system", _SYSTEM), *turns)))
    tokens = _tokens_of(template)
    return ChatTemplate(
        rewritten=next((turn for turn in turns if turn[1] not in text), None),
        text=text,
        keeps_system=_SYSTEM in with_system if isinstance(with_system, str) else None,
        begins=_count_begins(text, tokenizer),
        begin_token=str(tokenizer.bos_token or ""),
        changes_by=_what_changes(tokens),
        parts=dict(_write_parts(render)),
        rows_have_parts=any(row.in_parts for row in rows),
        tools=observe_tools(tokens, render),
    )


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


def _render(
    template: str,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[dict[str, Any]] | None = None,
) -> str | Exception:
    """Renders a prompt; returns the text, or the exception, since a template may raise any.

    Renders as servers and older versions of transformers do: newer `apply_chat_template` leaves out keys that are null.
    """
    from transformers.utils.chat_template_utils import _compile_jinja_template

    given = {"messages": copy.deepcopy([*messages]), "tools": copy.deepcopy(tools), "documents": None}
    try:
        compiled = _compile_jinja_template(template)
        return str(compiled.render(**given, add_generation_prompt=True, **tokenizer.special_tokens_map))
    except Exception as error:  # noqa: BLE001  # as for a system turn
        return error


def _write_parts(
    render: Callable[..., str | Exception],
) -> Iterator[tuple[str, Literal["text", "list", "lost"]]]:
    """Yields how each role's content is written if it is a list of parts; roles that refuse parts are left out."""
    for turns in (
        (("user", _QUESTION),),
        (("user", "?"), ("assistant", _ANSWER), ("user", "?")),
        (("system", _SYSTEM), ("user", "?")),
    ):
        (role, content) = next(turn for turn in turns if turn[1] != "?")
        parts = [{"type": "text", "text": content}]
        text = render([each | {"content": parts} if each["role"] == role else each for each in _messages(turns)])
        if isinstance(text, str):
            printed = "'type': 'text'" in text or '"type": "text"' in text
            yield role, "list" if printed else "text" if content in text else "lost"


def _count_begins(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    token, count = str(tokenizer.bos_token or ""), 0
    while token and text.startswith(token):
        text, count = text.removeprefix(token), count + 1
    return count


def _what_changes(tokens: Sequence[str]) -> Literal["", "time", "day", "unknown"]:
    """Classifies the time formats that the template passes to `strftime_now`, which returns the local time."""
    forms = [*_time_formats(tokens)]
    known = [form for form in forms if form is not None]
    if any(_SAME_DAY.strftime(form) != _MOMENT.strftime(form) for form in known):
        return "time"
    if len(known) < len(forms):
        return "unknown"
    return "day" if any(_ANOTHER_DAY.strftime(form) != _MOMENT.strftime(form) for form in known) else ""


def _tokens_of(template: str) -> list[str]:
    """Returns Jinja's tokens without white space; they are lexed, not parsed, as transformers adds tags."""
    from jinja2 import Environment

    return [text for _, kind, text in Environment().lex(template) if kind != "whitespace"]  # noqa: S701  # not rendered


def _time_formats(tokens: Sequence[str]) -> Iterator[str | None]:
    """Yields the format string of each call of `strftime_now`; None if it is not a string literal."""
    for place, name in enumerate(tokens):
        if name == "strftime_now" and tokens[place + 1 : place + 2] != ["is"]:  # `is defined` is not a call
            bracket, form, end = (*tokens[place + 1 : place + 4], "", "", "")[:3]
            yield form[1:-1] if (bracket, form[:1] in "'\"", end) == ("(", True, ")") and form else None
