"""Text from elsewhere made safe to show. Whatever a person reads on a terminal or in a report goes through here.

What a model writes, and what a submission prints, raises or is called, may hold terminal escapes, bidirectional
overrides that make a line read otherwise than it is, or line ends that forge a report's own lines. Those characters are
shown, as escapes, not obeyed.
"""

from __future__ import annotations

import unicodedata

LONGEST = 600
"""Characters shown of one text; the JSON report keeps all."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's controls, formats (bidirectional ones are among them), surrogates, private, unassigned, and line ends."""


def printable(text: str) -> str:
    """One line that shows `text`; what is cut off is counted."""
    shown = " ".join(text[:LONGEST].split())
    safe = "".join(_escape(letter) if unicodedata.category(letter) in _UNSEEN else letter for letter in shown)
    return safe + (f" … ({len(text) - LONGEST} more characters)" if len(text) > LONGEST else "")


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
