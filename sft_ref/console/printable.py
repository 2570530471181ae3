"""Makes untrusted text safe to show; all such text on a terminal or in a report passes through here.

Completions of a model, and the output, errors and names of a submission, may contain terminal escapes, bidirectional
overrides that make a line look different, or line ends that forge lines of a report. Those characters are shown as
escapes and have no effect.
"""

from __future__ import annotations

import unicodedata

LONGEST = 600
"""Characters shown of one text; the JSON report keeps the whole text."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's control, format (with bidirectional overrides), surrogate, private, unassigned and line end characters."""


def printable(text: str) -> str:
    """Returns `text` in one line, cut to `LONGEST` characters, with the number of characters cut off."""
    shown = " ".join(text[:LONGEST].split())
    safe = "".join(_escape(letter) if unicodedata.category(letter) in _UNSEEN else letter for letter in shown)
    return safe + (f" … ({len(text) - LONGEST} more characters)" if len(text) > LONGEST else "")


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
