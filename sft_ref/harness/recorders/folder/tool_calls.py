"""Renders conversations with a tool by a chat template, to examine how it writes schemas, calls and results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from sft_ref.harness.evidence.views import ToolUse

Message = Mapping[str, Any]
Render = Callable[..., str | Exception]
"""Takes messages, and the keyword ``tools``; returns the text of a chat template, or its exception."""

_NAME, _KEY, _VALUE, _RESULT = "convert_mass", "mass_unit", "kilogram", "6000 gram"
_PARAMETERS = {
    "type": "object",
    "properties": {_KEY: {"type": "string", "description": "The unit."}},
    "required": [_KEY],
}
_TOOLS = [{"type": "function", "function": {"name": _NAME, "description": "Converts.", "parameters": _PARAMETERS}}]
_ARGUMENTS = {_KEY: _VALUE, "exact": True, "limit": None}
"""Includes values that Python and JSON print differently."""
_ID = "call00001"
"""Nine letters and digits, as some templates require."""
_QUESTION: Message = {"role": "user", "content": "How much is that?"}
_RETURNED: Message = {"role": "tool", "name": _NAME, "tool_call_id": _ID, "content": _RESULT}
_ANSWERED: Sequence[Message] = ({"role": "assistant", "content": "That much."}, _QUESTION)
_ENDINGS: tuple[Sequence[Message], ...] = ((_RETURNED, *_ANSWERED), (_RETURNED,), _ANSWERED, ())
"""Messages after a call; the first alternative that the template accepts is examined."""
_CONTENTS: tuple[Message, ...] = ({"content": ""}, {}, {"content": None})
"""Contents of a message that only calls a tool: an empty string by habit, absent or null by OpenAI's schema."""


def observe_tools(tokens: Sequence[str], render: Render) -> ToolUse:
    """Finds the tool contents that a chat template drops, or prints as Python.

    Args:
        tokens: Jinja tokens of the template; a template with neither the variable `tools` nor `tool_calls` does not
            support tools, which is no fault.
        render: renders messages with the template.
    """
    faults: list[tuple[str, str]] = []
    before_tools = {before for before, name in zip(("", *tokens), tokens, strict=False) if name == "tools"}
    if before_tools - {"."} and "set" not in before_tools:  # else its own variable, or a message's key
        faults += _faults_of_schema(render)
    takes_calls = "tool_calls" in {token.strip("'\"") for token in tokens}
    if takes_calls:
        faults += _faults_of_calls(render)
    return ToolUse(tuple(faults), lists_results=takes_calls and _lists_results(render))


def _faults_of_schema(render: Render) -> Iterator[tuple[str, str]]:
    """Yields faults of tool schemas, with and without a system turn, as templates may require or refuse one."""
    given = ([_QUESTION], [{"role": "system", "content": "Convert."}, _QUESTION])
    texts = [text for messages in given if isinstance(text := render(messages, tools=_TOOLS), str)]
    if printed := [text for text in texts if str(_PARAMETERS) in text]:
        yield "prints the schema of a tool as a Python dictionary", printed[0]
    elif texts and not any(_NAME in text for text in texts):
        yield "leaves out the tools that it is given", texts[0]


def _faults_of_calls(render: Render) -> Iterator[tuple[str, str]]:
    """Yields faults of tool calls; contents count as lost only if every accepted form of the call loses them."""
    given: tuple[object, ...] = (_ARGUMENTS, json.dumps(_ARGUMENTS))
    written = [found for form in product(given, _CONTENTS) if (found := _write(render, *form)) is not None]
    if not written:
        return
    # null content comes last, so that a None in the examined text stems from the arguments alone if possible
    whole = [each for each in written if all(word in each[0] for word in (_NAME, _KEY, _VALUE))]
    if not whole:
        yield "leaves out the call of a tool, or its arguments", written[0][0]
        return
    text, ending = whole[0]
    before = render([_QUESTION], tools=_TOOLS)
    if str(_ARGUMENTS) in text:
        yield "prints the arguments of a call as a Python dictionary", text
    elif isinstance(before, str) and all(_count(word, text) > _count(word, before) for word in ("true", "None")):
        yield "prints null in the arguments of a call as None, although other values are written as JSON", text
    if _RETURNED in ending and _RESULT not in text:
        yield "leaves out the result of a tool", text
    *others, null = (_write(render, _ARGUMENTS, content) for content in _CONTENTS)
    other = next((each for each in others if each is not None), None)
    if null and other and null[1] == other[1] and _count("None", null[0]) > _count("None", other[0]):
        yield "prints the null content of a message that calls a tool as None", null[0]


def _write(render: Render, arguments: object, content: Message) -> tuple[str, Sequence[Message]] | None:
    """Renders a conversation with a call; returns text and messages after the call, or None if all are refused."""
    call = {"id": _ID, "type": "function", "function": {"name": _NAME, "arguments": arguments}}
    for ending in _ENDINGS:
        text = render([_QUESTION, {"role": "assistant", **content, "tool_calls": [call]}, *ending], tools=_TOOLS)
        if isinstance(text, str):
            return text, ending
    return None


def _lists_results(render: Render) -> bool:
    call = {"id": _ID, "type": "function", "function": {"name": _NAME, "arguments": _ARGUMENTS}}
    parts = {**_RETURNED, "content": [{"type": "text", "text": _RESULT}]}
    text = render([_QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}, parts], tools=_TOOLS)
    return isinstance(text, str) and str(parts["content"]) in text


def _count(word: str, text: str) -> int:
    return len(re.findall(rf"\b{word}\b", text))
