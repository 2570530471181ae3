"""Renders conversations of its own by a chat template, to see what it does to any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from sft_ref.harness.evidence.views import ChatTemplate
from sft_ref.io.foreign import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = tuple[str, str]

_QUESTION = """Is 'this' the "same" text,
this & that?"""
"""With quotes, a line break and a sign that a language prints or escapes otherwise; no tag, which marks a thought."""
_ANSWER = _QUESTION.replace("Is", "It is")
_SYSTEM = _QUESTION.replace("Is", "You say whether")
_DIALOGUES: tuple[Sequence[Turn], ...] = (
    (("user", _QUESTION), ("assistant", _ANSWER), ("user", _QUESTION.replace("Is", "And is"))),
    (("user", _QUESTION),),
)
"""The longest that the template accepts is examined."""

_MOMENT = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
_SAME_DAY = _MOMENT.replace(hour=16, minute=17, second=18)
_ANOTHER_DAY = _MOMENT.replace(year=2021, month=12, day=30)


def observe_template(template: str, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """What a chat template does to conversations.

    Args:
        template: in Jinja.
        tokenizer: whose special tokens the template may use.
    """
    refusal = ""
    for turns in _DIALOGUES:
        text = _render(template, turns, tokenizer)
        if isinstance(text, str):
            break
        refusal = refusal or first_line(text)
    else:
        return ChatTemplate(refusal=refusal)
    with_system = _render(template, (("system", _SYSTEM), *turns), tokenizer)
    return ChatTemplate(
        rewritten=next((turn for turn in turns if turn[1] not in text), None),
        text=text,
        keeps_system=_SYSTEM in with_system if isinstance(with_system, str) else None,
        begins=_count_begins(text, tokenizer),
        begin_token=str(tokenizer.bos_token or ""),
        changes_by=_what_changes(template),
    )


def _render(template: str, turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase) -> str | Exception:
    """The text of a prompt; or the error of the template, which raises what it likes."""
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        return str(
            tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
        )
    except Exception as error:  # noqa: BLE001  # as for a system turn
        return error


def _count_begins(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    token, count = str(tokenizer.bos_token or ""), 0
    while token and text.startswith(token):
        text, count = text.removeprefix(token), count + 1
    return count


def _what_changes(template: str) -> Literal["", "time", "day", "unknown"]:
    """By the formats that the template gives to `strftime_now`, which tells the local time."""
    forms = [*_time_formats(template)]
    known = [form for form in forms if form is not None]
    if any(_SAME_DAY.strftime(form) != _MOMENT.strftime(form) for form in known):
        return "time"
    if len(known) < len(forms):
        return "unknown"
    return "day" if any(_ANOTHER_DAY.strftime(form) != _MOMENT.strftime(form) for form in known) else ""


def _time_formats(template: str) -> Iterator[str | None]:
    """The text in each use of `strftime_now`; None where it is no plain text.

    The template is read as Jinja's tokens, since transformers has tags of its own.
    """
    from jinja2 import Environment

    tokens = [text for _, kind, text in Environment().lex(template) if kind != "whitespace"]  # noqa: S701  # not rendered
    for place, name in enumerate(tokens):
        if name == "strftime_now" and tokens[place + 1 : place + 2] != ["is"]:  # `is defined` calls nothing
            bracket, form, end = (*tokens[place + 1 : place + 4], "", "", "")[:3]
            yield form[1:-1] if (bracket, form[:1] in "'\"", end) == ("(", True, ")") and form else None
