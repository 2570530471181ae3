"""Names the module that is neither installed nor the submission's own, where that is why it crashed."""

import importlib.metadata
import importlib.util
import os
import re

_OF_TRANSFORMERS = re.compile(r"requires the (\w[\w.-]*) library but it was not found")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_SKIPPED = ("__pycache__", "site-packages", "node_modules")


def missing_module(error, root):
    """The top-level name of the module that is missing; None where the crash is of another kind.

    A relative import, or a name that a file or folder of the submission has, is the submission's own.
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


def missing_requirements(root):
    """Distributions that a requirements.txt of the submission names and that are not installed."""
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [each for each in folders if each not in _SKIPPED]
        if "requirements.txt" in files:
            with open(os.path.join(folder, "requirements.txt"), encoding="utf-8", errors="replace") as file:
                names += [match[1] for line in file if (match := _NAME.match(line))]
    return [name for name in dict.fromkeys(names) if not _has_distribution(name)][:20]


def _own_names(root):
    names = set()
    for _, folders, files in os.walk(root):
        folders[:] = [each for each in folders if each not in _SKIPPED]
        names.update(folders, (each[:-3] for each in files if each.endswith(".py")))
    return names


def _is_installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _has_distribution(name):
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
