"""Draws the terminal's output for the documentation.

``picture.py report RESULTS.json PICTURE.svg`` draws the first report in the output of ``sft-ref grade --json``;
``picture.py demo PICTURE.svg`` runs ``sft-ref demo`` and draws what it prints after training.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sft_ref.console.printable import printable
from sft_ref.harness.core.grade import Grade
from sft_ref.harness.report.files import from_json
from sft_ref.harness.report.terminal import WIDTH, show_grade
from sft_ref.io.atomic_write import write_atomic

FIRST_LINE = "the first 10 of"
"""Start of the first line of the demo that is drawn; the progress of training is left out."""


def new_console() -> Console:
    """Returns a console that records what is printed, as wide as a report."""
    return Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)


def draw_report(grade: Grade) -> str:
    """Draws the report as SVG, below the command that prints it."""
    console = new_console()
    console.print(Text(f"$ sft-ref grade {printable(grade.path)}\n", "bold"))
    show_grade(grade, console)
    return console.export_svg(title="sft-ref grade", unique_id="report")


def draw_demo(printed: str) -> str:
    """Draws the end of the demo's output as SVG.

    Args:
        printed: all that the demo printed, with its ANSI colors.
    """
    lines = printed.splitlines()
    began = next(number for number, line in enumerate(lines) if FIRST_LINE in line)
    console = new_console()
    console.print(Text("$ sft-ref demo\n…", "bold"))
    console.print(Text.from_ansi("\n".join(lines[began:])), soft_wrap=False)
    return console.export_svg(title="sft-ref demo", unique_id="demo")


def run_demo() -> str:
    """Runs the demo in an empty folder, in color, and returns what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
        command = [sys.executable, "-m", "sft_ref", "demo"]
        return subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(argv: list[str] | None = None) -> int:
    """Draws a report, or the demo."""
    parser = argparse.ArgumentParser(prog="picture", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    report = kinds.add_parser("report")
    report.add_argument("results", type=Path)
    for each in (report, kinds.add_parser("demo")):
        each.add_argument("picture", type=Path)
    args = parser.parse_args(argv)
    if args.kind == "demo":
        drawn = draw_demo(run_demo())
    else:
        drawn = draw_report(from_json(json.loads(args.results.read_text(encoding="utf-8"))[0]))
    write_atomic(args.picture, drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
