"""Names modules that a submission imports but that are not installed, and stubs the optional ones."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OPTIONAL_MODULES = (
    *("click", "colorama", "dotenv", "fire", "lightning", "loguru", "matplotlib", "pytorch_lightning", "rich"),
    *("seaborn", "tabulate", "tensorboard", "tensorboardX", "termcolor", "tqdm", "trackio", "typer", "wandb"),
)
"""Modules that log, draw or parse a command line; a stub replaces each one that is missing."""

_TRAINING = {"Fabric", "LightningDataModule", "LightningModule", "Trainer"}
"""Names in lightning that no stub can replace, since they train."""
_OF_TRANSFORMERS = re.compile(r"requires the (\w[\w.-]*) library but it was not found")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_SKIPPED = ("__pycache__", "site-packages", "node_modules")


def missing_module(error: BaseException, root: str) -> str | None:
    """Returns the top-level name of the missing module; None if the crash has another cause.

    A relative import, or a name that a file or folder of the submission has, refers to the submission itself.
    """
    for each in (error, error.__cause__):
        name = None
        if isinstance(each, ModuleNotFoundError) and each.name:
            name = each.name.partition(".")[0]
        elif isinstance(each, ImportError) and (found := _OF_TRANSFORMERS.search(str(each))):
            name = found[1]
        if name and name not in _own_names(root) and not _is_installed(name):
            return name
    return None


def missing_requirements(root: str) -> list[str]:
    """Returns distributions that a requirements.txt of the submission names but that are not installed."""
    names: list[str] = []
    for folder, _, files in _walk(root):
        if "requirements.txt" in files:
            text = Path(folder, "requirements.txt").read_text(encoding="utf-8", errors="replace")
            names += [match[1] for line in text.splitlines() if (match := _NAME.match(line))]
    return [name for name in dict.fromkeys(names) if not _has_distribution(name)][:20]


def _own_names(root: str) -> set[str]:
    names: set[str] = set()
    for _, folders, files in _walk(root):
        names.update(folders, (each[:-3] for each in files if each.endswith(".py")))
    return names


def _walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for folder, folders, files in os.walk(root):
        folders[:] = [each for each in folders if each not in _SKIPPED]
        yield folder, folders, files


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _has_distribution(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class _StubModule(types.ModuleType):
    """A module in which every name is a stub."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _TRAINING and "lightning" in self.__name__:
            top = self.__name__.partition(".")[0]
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        return _Stub


class _Stub:
    """Can be called, entered and subclassed; iterating yields its first argument's items, as a progress bar does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = args[0] if args else ()
        self._wrapped = given if hasattr(given, "__iter__") and not isinstance(given, str) else ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and callable(args[0]):
            return args[0]
        return _Stub(*args) if args else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._wrapped)


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stub for an optional module that is not installed, if the submission itself imports it.

    Args:
        root: folder of the submission.
        note: records a note for the reader of the report.
    """

    def __init__(self, root: str, note: Callable[[str], None]) -> None:
        self.root, self.note = root, note

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Returns a stub's specification, or None."""
        if name.partition(".")[0] in OPTIONAL_MODULES and self._is_for_submission():
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def _is_for_submission(self) -> bool:
        """Returns whether the submission is the importer; libraries also look for modules, and must see the truth."""
        frame: types.FrameType | None = sys._getframe(2)  # noqa: SLF001
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self.root)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Creates the stub."""
        self.note(f"the module {spec.name} is not installed here; an empty one was used in its place")
        return _StubModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Makes the stub a package, so that its submodules are found as well."""
        module.__path__ = []


def stub_tensorboard(modules: dict[str, types.ModuleType]) -> dict[str, types.ModuleType]:
    """Adds to `sys.modules` a stub of the part of torch that needs tensorboard."""
    modules["torch.utils.tensorboard"] = _StubModule("torch.utils.tensorboard")
    return modules
