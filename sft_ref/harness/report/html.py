"""Writes reports as one HTML page, by the export of the terminal library."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from sft_ref.harness.core.grade import Grade
from sft_ref.io.atomic_write import write_atomic

from .classroom import show_class
from .terminal import WIDTH, show_grade

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>sft-ref grade</title>
<style>
{stylesheet}
body {{ color: {foreground}; background-color: {background}; margin: 2em; }}
pre {{ font-family: Menlo, 'DejaVu Sans Mono', Consolas, 'Courier New', monospace; line-height: 1.25; }}
</style>
</head>
<body>
<pre><code style="font-family: inherit">{code}</code></pre>
</body>
</html>
"""
"""The page runs no script and fetches nothing, whatever text it contains."""


def write_html(grades: Sequence[Grade], path: Path) -> None:
    """Writes a report for each submission; for several, a summary comes first.

    Raises:
        OutputError: the file cannot be written.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    if len(grades) > 1:
        show_class(grades, console)
    for grade in grades:
        if len(grades) > 1:
            console.print(Rule(style="dim"))
        show_grade(grade, console)
    write_atomic(path, console.export_html(theme=DEFAULT_TERMINAL_THEME, code_format=_PAGE))
