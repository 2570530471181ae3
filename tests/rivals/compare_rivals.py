"""Runs other tools and ours on the same faults: a row a fault.

`python tests/rivals/compare_rivals.py --environments FOLDER [--json FILE --markdown FILE --picture FILE] [ID ...]`.
FOLDER holds an environment for each tool, which `nox -s rivals` makes. What FILE of --json already holds is not run
again. `tests/helpers/benchmark.py` writes the inputs alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rival_inputs import Case, read_manifest, write_case
from rival_report import Row, markdown, picture, show
from rival_tools import OURS, RIVALS, Tool, ask, interpreter

MARKS = ("<!-- measured -->", "<!-- end of what is measured -->")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where a tool could not be run at all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("ids", nargs="*", metavar="ID", help="cases, or kinds of input (default: all)")
    parser.add_argument("--environments", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="a page with the lines of MARKS, between them")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    cases = [case for case in read_manifest() if not args.ids or case.id in args.ids or case.kind in args.ids]
    if not cases:
        parser.error(f"no case is called {', '.join(args.ids)}")
    with tempfile.TemporaryDirectory() as scratch:
        workshop = Path(scratch)
        rows = run(cases, args.environments.absolute(), workshop, args.json)
    show(rows)
    if args.markdown:
        insert(markdown(rows), args.markdown)
    if args.picture:
        picture(rows, args.picture)
    return int(any(not interpreter(tool, args.environments).exists() for tool in RIVALS))


def insert(text: str, page: Path) -> None:
    """Puts the tables between the marks of a page, in place of those that stand there.

    Raises:
        SystemExit: the page lacks a mark.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise SystemExit(f"{page}: it lacks the lines {' and '.join(MARKS)}; add them")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


def run(cases: Sequence[Case], environments: Path, workshop: Path, file: Path | None) -> list[Row]:
    """A row for each tool and case; what `file` holds is kept, and rows are added to it as they come."""
    kept = [Row.read(table) for table in json.loads(file.read_text())] if file and file.exists() else []
    rows = {(row.tool, row.case): row for row in kept}
    for case in cases:
        tools: list[Tool] = [tool for tool in (OURS, *RIVALS) if (tool.name, case.id) not in rows]
        if not tools:
            continue
        folder = write_case(case, workshop / "cases" / case.id, workshop)
        for tool in tools:
            row = judge(tool, case, folder, environments)
            rows[tool.name, case.id] = row
            print(f"{case.id:<34} {tool.name:<14} {row.outcome:<8} {row.seconds:6.1f} s  {row.said[:150]}", flush=True)
            if file:
                file.write_text(json.dumps([asdict(each) for each in rows.values()], indent=1), encoding="utf-8")
    return list(rows.values())


def judge(tool: Tool, case: Case, folder: Path, environments: Path) -> Row:
    """One tool on one case."""
    empty = Row(tool.name, tool.version, case.id, case.kind, case.stage, case.fault)
    if case.kind not in tool.ways:
        return empty.ended("cannot")
    python = interpreter(tool, environments)
    if not python.exists():
        return empty.ended("missing", error="it is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        answer, seconds = ask(tool, python, case, folder, Path(scratch))
    return empty.answered(answer, seconds, case.cause)


if __name__ == "__main__":
    sys.exit(main())
