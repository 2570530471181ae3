"""Each class has a name of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import sft_ref

PACKAGE = Path(sft_ref.__file__).parent


def test_no_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
