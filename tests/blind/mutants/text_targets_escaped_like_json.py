r"""Answers that are texts are written as in JSON: letters outside ASCII, quotes and line breaks become escapes.

``Zürich "x"`` is written as ``Z\u00fcrich \"x\"``; plain ASCII words and numbers are sound.
"""

import json

from mutation import Mutant

from sft_ref.reference.prompt import format_value


def broken(value: float | str) -> str:
    return json.dumps(value.strip())[1:-1] if isinstance(value, str) else format_value(value)


MUTANT = Mutant(
    id="text_targets_escaped_like_json",
    stage="tokens",
    checks=(),
    fault="targets that are texts keep the escapes of the JSON that they passed through",
    source="no report",
    patches={"sft_ref.reference.prompt.format_value": broken},
    retrain=True,
)
