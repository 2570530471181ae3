"""Imports go one way."""

import ast
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest

import sft_ref

PACKAGE = Path(sft_ref.__file__).parent

MAY_IMPORT = {
    "errors": set[str](),
    "prompt": set[str](),
    "ranges": set[str](),
    "reading": {"errors"},
    "foreign": {"errors"},
    "patterns": set[str](),
    "tensor_headers": {"reading"},
    "lora_config": {"errors", "patterns", "reading"},
    "base_config": {"errors", "foreign", "reading", "tensor_headers"},
    "settings": {"errors", "ranges"},
    "data": {"errors", "reading"},
    "precision": {"errors", "prompt", "reading"},
    "models": {"base_config", "errors", "foreign", "precision", "reading", "tensor_headers", "toy"},
    "autocast": {"errors", "precision"},
    "tracing": set[str](),
    "head": set[str](),
    "generation": {"head"},
    "tokens": {"errors", "prompt"},
    "loss": {"head", "tokens"},
    "exchange": set[str](),
    "locking": {"errors"},
    "adapter": {
        *("base_config", "errors", "exchange", "foreign", "lora_config", "precision", "reading", "tensor_headers"),
    },
    "base_llm": {"autocast", "generation", "models", "precision", "prompt"},
    "checkpoint": {"errors", "foreign", "reading", "tensor_headers"},
    "training": {"autocast", "checkpoint", "errors", "loss", "precision", "settings", "tokens"},
    "plot": set[str](),
    "quiet": set[str](),
    "plain": set[str](),
    "streams": set[str](),
    "interrupts": set[str](),
    "safe_path": set[str](),
    "sft": {
        *("adapter", "autocast", "base_llm", "data", "errors", "locking", "models", "plot", "precision", "reading"),
        *("settings", "tokens"),
        *("tracing", "training"),
    },
    "terminal": {"adapter", "base_llm", "plain", "precision", "sft", "tracing", "training"},
}
TOP = {"__init__", "__main__", "cli"}


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def test_every_module_has_its_place() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == MAY_IMPORT.keys() | TOP


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    assert imported(PACKAGE / f"{module}.py") <= MAY_IMPORT[module]


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


def test_the_reference_never_imports_the_harness() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.stem != "cli":
            assert "harness" not in imported(path), path.name


def test_no_module_is_named_after_a_function_of_the_api() -> None:
    assert not {path.stem for path in PACKAGE.glob("*.py")} & set(sft_ref.__all__)


def test_only_tests_know_pytest() -> None:
    for path in PACKAGE.rglob("*.py"):
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
