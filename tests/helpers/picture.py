"""``python tests/helpers/picture.py RESULTS.json PICTURE.svg``: draws the terminal report."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sft_ref.harness.core.grade import Grade
from sft_ref.harness.report.files import from_json
from sft_ref.harness.report.terminal import WIDTH, show_grade
from sft_ref.io.atomic_write import write_atomic


def draw(grade: Grade, command: str) -> str:
    """Draws the report, below the command that prints it, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text(f"$ {command}\n", "bold"))
    show_grade(grade, console)
    return console.export_svg(title="sft-ref grade", unique_id="report")


def main(argv: list[str] | None = None) -> int:
    """Draws the first submission of a file that ``sft-ref grade --json`` wrote."""
    parser = argparse.ArgumentParser(prog="picture", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args(argv)
    grade = from_json(json.loads(args.results.read_text(encoding="utf-8"))[0])
    write_atomic(args.picture, draw(grade, f"sft-ref grade {grade.path}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
