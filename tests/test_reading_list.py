"""The reference stays short enough to be read in one sitting, and its parts for speed and protection stay apart."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sft_ref import reference

FOLDER = Path(reference.__file__).parent
LISTED = re.findall(r"^\d+\. ``([\w/]+)``", str(reference.__doc__), re.MULTILINE)
LOOKED_UP = {"questions", "fingerprints"}


def imports(path: Path) -> set[str]:
    """What a file imports, by whole names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = ["sft_ref", *path.relative_to(FOLDER.parent).parts[: -node.level]] if node.level else []
            names = [alias.name for alias in node.names] if not node.module else [node.module]
            found |= {".".join([*package, name]) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_what_is_to_be_read_is_below_a_thousand_lines() -> None:
    files = [FOLDER / "__init__.py", *(FOLDER / f"{name}.py" for name in LISTED)]
    assert len(files) > 10
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert sum(lines.values()) < 1000, lines


def test_every_file_of_the_reference_is_listed() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert names == {name for name in LISTED if "/" not in name} | LOOKED_UP
    assert len(list(FOLDER.glob("*.py"))) <= 14


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_file_is_read_after_what_it_imports(name: str) -> None:
    path = FOLDER / f"{name}.py"
    later = LISTED[LISTED.index(name) :]
    assert not imports(path) & {f"sft_ref.reference.{other.replace('/', '.')}" for other in later}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("fast/*.py")), ids=lambda path: path.stem)
def test_what_is_for_speed_only_says_so(path: Path) -> None:
    assert str(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))).startswith("Speed only: ")


@pytest.mark.parametrize("room", ["bases", "fast", "guards", "precision"])
def test_what_is_looked_up_knows_nothing_of_what_is_read(room: str) -> None:
    for path in FOLDER.glob(f"{room}/*.py"):
        known = {name for name in imports(path) if name.startswith("sft_ref.reference.")}
        assert all(name.startswith(f"sft_ref.reference.{room}") for name in known), path.name
