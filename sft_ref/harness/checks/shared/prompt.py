"""Shared checks of the prompt: what a chat template does to any conversation."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import ChatTemplate

_SHOWN = 80
"""Characters of a text that are shown."""


@check(
    "PRM-403",
    "The chat template writes each message as it is",
    level=Level.CONTRACT,
    why="A template that prints or escapes contents, or leaves out system prompts, hides from the model what is asked.",
    remedy="Write {{ message['content'] }} for each message, of the system as well, or raise where a role is refused.",
    source="transformers: contents in parts printed as a Python list",
)
def messages_are_written_as_they_are(chat_template: ChatTemplate) -> None:
    """PRM-403: of texts with quotes, line breaks and angle brackets; a template may refuse system prompts."""
    _require_text(chat_template)
    if chat_template.rewritten is not None:
        role, content = chat_template.rewritten
        seen = f"the content of {role}, {content!r}, does not stand in the text"
        raise Failure(seen, "the content as it is", f"{chat_template.text[:_SHOWN]!r}")
    if chat_template.keeps_system is False:
        raise Failure("the text lacks the system prompt", "the system prompt, or an error", "a system prompt")


@check(
    "PRM-404",
    "The text of a chat template has at most one beginning-of-sequence token",
    level=Level.CONTRACT,
    why="A second one is a text that the base never saw.",
    remedy="Write {{ bos_token }} once, and tokenize what the template writes with add_special_tokens=False.",
    source="llama.cpp: 'Added a BOS token to the prompt ... as specified by the model but the prompt also starts with'",
)
def text_begins_once(chat_template: ChatTemplate) -> None:
    """PRM-404."""
    _require_text(chat_template)
    if chat_template.begins > 1:
        seen = f"{chat_template.begins} of {chat_template.begin_token!r}"
        raise Failure(seen, "one at most", f"{chat_template.text[:_SHOWN]!r}")


@check(
    "PRM-405",
    "The chat template writes the same text at any time of day",
    level=Level.CONTRACT,
    why="A prompt that holds the time is never the one of training.",
    remedy="Leave strftime_now out, or pass a fixed date in training and in serving.",
)
def text_does_not_depend_on_the_time(chat_template: ChatTemplate) -> str | None:
    """PRM-405: a date alone, as some published templates write it, is advice."""
    _require_text(chat_template)
    if chat_template.changes_by == "time":
        raise Failure("two texts of one day differ", "the same text", f"{chat_template.text[:_SHOWN]!r}")
    if chat_template.changes_by == "unknown":
        raise Unavailable("the chat template computes the format of the time that it writes")
    if chat_template.changes_by == "day":
        return "the text holds today's date, so that it differs from that of training: pass the date that was trained"
    return None


def _require_text(chat_template: ChatTemplate) -> None:
    if chat_template.refusal:
        raise Unavailable(f"the chat template writes no plain conversation: {chat_template.refusal}")
