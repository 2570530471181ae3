"""Finds the targets in the paths given by a user; runs and unpacks nothing.

A folder is one submission if it, or exactly one folder in it (searched `_DEPTH` levels deep), contains code in the
course's layout, a module with the four functions, or an adapter. If several of its entries do, or there are zips, each
entry is a submission.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sft_ref.errors import SftRefError
from sft_ref.harness.recorders.submission.layout import COURSE, GENERAL
from sft_ref.io.lora_config import CONFIG
from sft_ref.io.reading import shortened, why_no_path

ASIDE = {"grader", "data", "tests", "test", "docs", "scripts", "notebooks", "sft_model", "rft_model", "checkpoints"}
"""Names of folders beside a submission's code that are not submissions."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
"""Suffixes of archives; only zips can be graded, and the others are refused by name instead of skipped."""

_DEPTH = 6
_LARGEST = 1_000_000
_TOP_LEVEL = re.compile(r"^(?:async\s+)?def\s+(\w+)|^(\w+)\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Targets:
    """Targets in order without duplicates, and the files that were skipped."""

    targets: tuple[str, ...]
    skipped: tuple[str, ...]


def find_targets(paths: Iterable[str]) -> Targets:
    """Finds the targets in paths; keeps a name that is not a path, since it may be a module.

    Raises:
        SftRefError: a path does not exist or is empty, or it is unclear whether it is one submission or several.
    """
    targets: list[str] = []
    skipped: list[str] = []
    for given in paths:
        path = Path(given)
        if reason := why_no_path(path):
            raise SftRefError(f"{shortened(given)}: {reason}; give a submission, or a folder of submissions")
        if path.is_dir():
            found, left = _in_folder(path)
            targets += map(str, found)
            skipped += map(str, left)
        elif path.exists() or not (os.sep in given or path.suffix in ARCHIVES):
            targets.append(str(path) if path.exists() else given)
        else:
            raise SftRefError(f"{given}: there is no such file or folder")
    return Targets(tuple(dict.fromkeys(targets)), tuple(dict.fromkeys(skipped)))


def _in_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    entries = sorted(entry for entry in _listed(folder) if not _hidden(entry))
    if not entries:
        raise SftRefError(f"{folder}: is empty; give a folder that holds a submission, or several")
    if _holds_code(entries) or _holds_adapter(entries):
        return [folder], []
    folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    archives = [entry for entry in entries if entry.is_file() and entry.suffix in ARCHIVES]
    coded = [each for each in folders if any(map(_holds_code, _levels(each)))]
    adapters = [each for each in folders if each not in coded and any(map(_holds_adapter, _levels(each)))]
    found = coded or adapters
    if len(found) <= 1 and not archives:
        strangers = [each for each in folders if coded and each not in found and _may_be_one(each, adapters)]
        if not strangers:
            return [folder], []
    if len(found) == 1 and len(coded) <= 1:
        others = [each for each in (*archives, *folders) if each not in found]
        raise SftRefError(
            f"{folder}: contains {found[0].name} and {others[0].name}, so it may be one submission or several;"
            f" give {found[0]} for one, or {folder}{os.sep}* to grade each separately"
        )
    modules = [entry for entry in entries if entry.is_file() and entry.suffix == ".py"]
    chosen = sorted([*folders, *archives, *modules])
    return chosen, [entry for entry in entries if entry not in chosen]


def _may_be_one(folder: Path, adapters: list[Path]) -> bool:
    """Returns whether a folder beside a submission may be another submission."""
    if folder.name in ASIDE:
        return False
    return folder in adapters or any(file.suffix == ".py" for files in _levels(folder) for file in files)


def _levels(folder: Path, depth: int = _DEPTH) -> Iterator[list[Path]]:
    """Yields the entries of a folder, and of each folder in it; does not follow links."""
    entries = _listed(folder)
    yield entries
    for entry in entries:
        if depth and entry.is_dir() and not entry.is_symlink() and not _hidden(entry):
            yield from _levels(entry, depth - 1)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SftRefError(f"{folder}: cannot be read ({error})") from error


def _hidden(entry: Path) -> bool:
    return entry.name.startswith((".", "__")) or (entry / "pyvenv.cfg").is_file()


def _holds_code(files: Iterable[Path]) -> bool:
    modules = [file for file in files if file.suffix == ".py"]
    return any(file.name in COURSE for file in modules) or any(map(_has_functions, modules))


def _holds_adapter(files: Iterable[Path]) -> bool:
    return any(file.name == CONFIG for file in files)


def _has_functions(file: Path) -> bool:
    """Returns whether a module defines the four functions at its top level."""
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return False
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    names = {name for match in _TOP_LEVEL.finditer(text) for name in match.groups() if name}
    return names >= set(GENERAL)
