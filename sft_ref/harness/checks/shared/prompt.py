"""Shared checks of the stage prompt: how a chat template writes conversations and tools."""

from __future__ import annotations

import json

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import ChatTemplate

_SHOWN = 80
"""Number of characters of a text shown in a message."""


@check(
    "PRM-403",
    "The chat template writes each message as it is",
    level=Level.CONTRACT,
    why="If the template prints contents as Python, escapes them or leaves out system prompts, the model sees"
    " other text.",
    remedy="Write {{ message['content'] }}, or the text of its parts, for every message, including"
    " the system's, or raise an error.",
    source="transformers: contents in parts printed as a Python list",
)
def messages_are_written_as_they_are(chat_template: ChatTemplate) -> None:
    """PRM-403: Renders texts with quotes and line breaks, and in parts; a template may refuse parts and system prompts.

    A template that writes no role's parts as text does not support parts, which is a fault only if the rows use parts.
    """
    _require_text(chat_template)
    if chat_template.rewritten is not None:
        role, content = chat_template.rewritten
        raise Failure(_how_changed(role, content, chat_template.text), "the content as it is", repr(content))
    if chat_template.keeps_system is False:
        raise Failure("the template leaves out the system prompt", "the system prompt, or an error")
    spoiled = {role: how for role, how in chat_template.parts.items() if how != "text"}
    if spoiled and (chat_template.rows_have_parts or "text" in chat_template.parts.values()):
        role, how = next(iter(spoiled.items()))
        does = "prints as a list" if how == "list" else "leaves out"
        seen = f"the template {does} the content of the {role} turn if it is given in parts"
        raise Failure(seen, "the text of the parts, or an error", '[{"type": "text", "text": ...}]')


@check(
    "PRM-404",
    "The text of a chat template has at most one beginning-of-sequence token",
    level=Level.CONTRACT,
    why="The base was never trained on texts with a second one.",
    remedy="Write {{ bos_token }} once, and tokenize what the template writes with add_special_tokens=False.",
    source="llama.cpp: 'Added a BOS token to the prompt ... as specified by the model but the prompt also starts with'",
)
def text_begins_once(chat_template: ChatTemplate) -> None:
    """PRM-404."""
    _require_text(chat_template)
    if chat_template.begins > 1:
        times = "twice" if chat_template.begins == 2 else f"{chat_template.begins} times"  # noqa: PLR2004
        seen = f"the template writes the beginning-of-sequence token {chat_template.begin_token!r} {times}"
        raise Failure(seen, "once at most", f"{chat_template.text[:_SHOWN]!r}")


@check(
    "PRM-405",
    "The chat template writes the same text at any time of day",
    level=Level.CONTRACT,
    why="A prompt that contains the time never equals a training prompt.",
    remedy="Leave strftime_now out, or pass a fixed date in training and in serving.",
)
def text_does_not_depend_on_the_time(chat_template: ChatTemplate) -> str | None:
    """PRM-405: Only gives advice for a date without a time, as in some published templates."""
    _require_text(chat_template)
    if chat_template.changes_by == "time":
        raise Failure(
            "the template writes the time of day into the text",
            "the same text at any time",
            f"{chat_template.text[:_SHOWN]!r}",
        )
    if chat_template.changes_by == "unknown":
        raise Unavailable("the chat template writes the time in a format that it computes, so its effect is unknown")
    if chat_template.changes_by == "day":
        return "the text contains today's date, and so differs from that of training: pass the date that was trained"
    return None


@check(
    "PRM-406",
    "A chat template that takes tools writes their schemas, calls and results as text or JSON",
    level=Level.CONTRACT,
    why="The model cannot learn what the template leaves out, and values printed as Python differ from JSON.",
    remedy="Write schemas and arguments with tojson, and nothing for null content; raise an error for"
    " unsupported input.",
    source="transformers: chat templates with tools",
)
def tools_are_written(chat_template: ChatTemplate) -> str | None:
    """PRM-406: Applies to templates that support tools or their calls; an input that is refused is not a fault."""
    _require_text(chat_template)
    tools = chat_template.tools
    if tools.faults:
        what, text = tools.faults[0]
        more = "".join(f", and {other}" for other, _ in tools.faults[1:])
        raise Failure(f"the template {what}{more}", "text or JSON, or an error", repr(text[:_SHOWN]))
    if tools.lists_results:
        return "the template prints the result of a tool as a Python list if it is given in parts: give it as text"
    return None


def _how_changed(role: str, content: str, text: str) -> str:
    """Describes the form in which a content is written in a text, or else the text itself."""
    place = f"the content of the {role} turn"
    if repr(content) in text:
        return f"the template prints {place} as a Python value, with quotes and escapes"
    if json.dumps(content) in text:
        return f"the template prints {place} as JSON, with quotes and escapes"
    return f"the template changes {place}, or leaves it out: it writes {text[:_SHOWN]!r}"


def _require_text(chat_template: ChatTemplate) -> None:
    if chat_template.refusal:
        raise Unavailable(f"the chat template cannot write a plain conversation: {chat_template.refusal}")
