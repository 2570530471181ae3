"""Locates a submission's stages by reading its source text, never by importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.io.plain_files import list_files, open_file

COURSE = ("base_llm.py", "sft.py")
GENERAL = ("format_prompt", "train", "load", "test")
_LARGEST = 2**20
"""Maximum bytes of a module that are read."""
_SKIPPED = ("__pycache__", "site-packages", "node_modules", "venv", "__MACOSX")


@dataclass(frozen=True)
class Layout:
    """The locations of a submission's parts.

    Attributes:
        root: working folder, which contains the package.
        modules: names of the modules to import, the one with the stages first.
        package: folder of the package's files.
    """

    root: Path
    modules: tuple[str, ...]
    package: Path

    @property
    def output(self) -> Path:
        """Requested folder of the adapter."""
        return self.package / "sft_model"

    @property
    def data(self) -> Path:
        """Folder of the questions, beside the package."""
        return self.root / "data"


def find_layout(folder: Path) -> Layout:
    """Finds the course's layout at any depth, or else one module with `format_prompt`, `train`, `load` and `test`.

    Raises:
        SubmissionError: neither exists, or more than one at the same depth.
    """
    packages, general = _places(folder)
    if packages:
        package = _only(packages, folder)
        return Layout(package.parent, _course_modules(package), package)
    if not general:
        raise SubmissionError(
            f"{folder}: no folder with {' and '.join(COURSE)}, and no module with {', '.join(GENERAL)}; "
            "give the folder that holds one"
        )
    module = _only(general, folder)
    if module.name == "__init__.py":
        return Layout(module.parent.parent, (module.parent.name,), module.parent)
    return Layout(module.parent, (module.stem,), module.parent)


def holds_layout(folder: Path) -> bool:
    """Returns whether a folder contains at least one submission that `find_layout` recognises."""
    return any(_places(folder))


def _places(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns folders in the course's layout, or else modules with the four functions; shallowest first."""
    files = sorted(
        (
            path
            for path in list_files(folder)
            if path.suffix == ".py" and not set(path.relative_to(folder).parts) & set(_SKIPPED)
        ),
        key=lambda path: (len(path.parts), str(path)),
    )
    names = {path.parent: {each.name for each in files if each.parent == path.parent} for path in files}
    packages = [each for each in names if set(COURSE) <= names[each]]
    return packages, [] if packages else [path for path in files if set(GENERAL) <= _functions(path)]


def _only(found: list[Path], folder: Path) -> Path:
    shallowest = [each for each in found if len(each.parts) == len(found[0].parts)]
    if len(shallowest) > 1:
        places = " and ".join(str(each.relative_to(folder)) for each in shallowest[:2])
        raise SubmissionError(f"{folder}: stages in {places}; give one of them")
    return found[0]


def _course_modules(package: Path) -> tuple[str, ...]:
    return tuple(f"{package.name}.{name}" for name in ("sft", "base_llm", "data"))


def _functions(path: Path) -> set[str]:
    try:
        with open_file(path.parent, (path.name,)) as file:
            tree = ast.parse(file.read(_LARGEST).decode(errors="replace"))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):  # too deep for the parser
        return set()
    named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named |= {alias.asname or alias.name for alias in node.names}
    return named
