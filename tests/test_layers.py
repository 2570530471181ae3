"""Imports go one way."""

import ast
import graphlib
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sft_ref

PACKAGE = Path(sft_ref.__file__).parent

LEVELS = (
    {"io", "console"},
    {"http", "reference"},
    {"harness/core", "harness/isolation", "toy"},
    {"cluster", "engines", "harness/evidence", "harness/instruments"},
    {"harness/recorders"},
    {"harness/checks", "harness/report", "harness/verdict", "sweep", "witnessing"},
    {"harness/grading"},
    {"cli", "integrations"},
)
"""The rooms, from the bottom up. A room imports lower rooms, and `errors`; docs/architecture.md draws them."""

LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
MOST_FILES = 14
"""In a folder: what is more is looked for, not found."""
MOST_LINES = 400
"""In a file, of the package and of its tests: what is longer has more than one subject."""
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
FOLDERS = sorted({path.parent for path in FILES})


def name(path: Path) -> str:
    """A file as a module."""
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {name(path): path for path in PACKAGE.rglob("*.py")}


def room(module: str) -> str:
    """The room of a module: its first folder, of the harness its second."""
    parts = MODULES[module].relative_to(PACKAGE).parent.parts
    return "/".join(parts[: 2 if parts[:1] == ("harness",) else 1])


def imports(module: str) -> set[str]:
    """Modules of the package that a module imports, anywhere in it but for types alone."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {each if each in MODULES else base for each in names}
    return found & MODULES.keys() - {module}


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from runtime_nodes(child)


def test_every_folder_belongs_to_a_room() -> None:
    assert {room(name(path)) for path in FILES} - {"harness"} <= LEVEL.keys()
    assert [path.name for path in (PACKAGE / "harness").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_a_folder_can_be_taken_in_at_a_glance(folder: Path) -> None:
    assert len([path for path in FILES if path.parent == folder]) <= MOST_FILES


def test_no_file_is_too_long() -> None:
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in (*PACKAGE.rglob("*.py"), *Path(__file__).parent.rglob("*.py"))
    }
    assert not {path: count for path, count in lines.items() if count > MOST_LINES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_rooms_below_its_own(path: Path) -> None:
    own = room(name(path))
    others = {each: room(each) for each in imports(name(path)) if each != f"{PACKAGE.name}.errors"}
    assert not {
        each: other
        for each, other in others.items()
        if other != own and (other not in LEVEL or LEVEL[other] >= LEVEL[own])
    }


def test_no_imports_go_in_a_circle() -> None:
    graphlib.TopologicalSorter({module: imports(module) for module in MODULES}).prepare()


def absolute_imports(path: Path) -> set[str]:
    """Modules of the package that a file imports by their whole names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "sft_ref":
            found |= {f"sft_ref.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_only_the_reference_as_an_implementation_knows_the_reference() -> None:
    """Checks and instruments get an implementation as an argument, and judge whatever it is."""
    for path in (PACKAGE / "harness").rglob("*.py"):
        if path.name != "reference.py":
            assert not absolute_imports(path) & {
                "sft_ref.reference.sft",
                "sft_ref.reference.training",
                "sft_ref.reference.base_llm",
            }, path.name


@pytest.mark.parametrize("room", ["evidence", "checks", "verdict", "report"])
def test_what_reads_evidence_imports_no_recorder(room: str) -> None:
    for path in (PACKAGE / "harness" / room).rglob("*.py"):
        assert not [each for each in absolute_imports(path) if each.startswith("sft_ref.harness.recorders")], path.name


def test_no_module_is_named_after_a_function_of_the_api() -> None:
    assert not {path.stem for path in PACKAGE.iterdir()} & set(sft_ref.__all__)


def test_only_tests_and_the_plugin_know_pytest() -> None:
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "integrations" / "pytest_plugin.py"}:
        assert "pytest" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            )
        }  # fmt: skip


def test_everything_public_can_be_had() -> None:
    for name in sft_ref.__all__:
        assert getattr(sft_ref, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sft_ref.nonsense  # noqa: B018


def test_pytest_does_not_collect_the_api() -> None:
    for function in (sft_ref.test, sft_ref.test_model):
        assert vars(function)["__test__"] is False


def test_what_the_package_imports_is_installed_with_it() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[\s<>=;\[]", line)[0].replace("-", "_").lower() for line in lines}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    assert found - sys.stdlib_module_names - {"sft_ref"} <= declared
