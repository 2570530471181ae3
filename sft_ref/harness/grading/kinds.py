"""Detects whether a target is code, an adapter, a merged model, a GGUF file or data, without importing its code."""

from __future__ import annotations

import importlib.util
import re
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Literal

from sft_ref.errors import SubmissionError
from sft_ref.harness.evidence.storage import SUFFIX
from sft_ref.harness.recorders.submission.layout import COURSE, holds_layout
from sft_ref.io.base_config import CONFIG
from sft_ref.io.lora_config import CONFIG as ADAPTER_CONFIG
from sft_ref.io.plain_files import list_files
from sft_ref.io.reading import kind_of
from sft_ref.io.rows.tables import PARQUET, is_saved_dataset

_MODEL = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
"""File names that transformers uses for the weights of a whole model."""

_ROWS = (".json", ".jsonl", PARQUET)
"""Suffixes of files with rows."""

_GGUF = ".gguf"

Kind = Literal["code", "adapter", "merged", "dataset", "gguf", "evidence"]


def find_kind(target: str) -> tuple[Kind, Path]:
    """Returns the kind of a target, and its path.

    A folder with an adapter at its top level is an adapter, unless it also contains the stages of a submission. Other
    code, such as a training script, does not change that.

    Raises:
        SubmissionError: the target does not exist, contains neither code nor an adapter, or contains several adapters
            none of which contains the others.
    """
    path = Path(target)
    if kind := _kind_by_suffix(path):
        return kind, path
    if not path.is_dir():
        return "code", path if path.exists() else _find_module(target)
    files = list_files(path, links=True)  # in the hub's cache all files are links
    found = sorted(
        {each.parent for each in files if each.name == ADAPTER_CONFIG}, key=lambda each: (len(each.parts), each)
    )
    if found and not _holds_submission(path, has_adapter_on_top=found[0] == path):
        return "adapter", _first(found, target)
    top = {each.name for each in files if each.parent == path}
    if not found and CONFIG in top and any(map(_MODEL.fullmatch, top)) and not holds_layout(path):
        return "merged", path
    if not found and not any(each.suffix == ".py" for each in files):
        raise SubmissionError(f"{target}: contains neither code nor {ADAPTER_CONFIG}; give a submission or an adapter")
    return "code", path


def _kind_by_suffix(path: Path) -> Kind | None:
    """Detects the kind by the suffix, or by the files that `datasets` saves; returns None if neither shows it."""
    if path.suffix == SUFFIX and not path.is_dir():
        return "evidence"
    if (path.suffix in _ROWS and kind_of(path) == "file") or is_saved_dataset(path):
        return "dataset"
    return "gguf" if path.suffix.lower() == _GGUF and path.is_file() else None


def _holds_submission(folder: Path, *, has_adapter_on_top: bool) -> bool:
    """Returns whether a folder contains a submission; without an adapter at its top level, a part of one is enough."""
    if holds_layout(folder):
        return True
    return not has_adapter_on_top and any(path.name in COURSE for path in list_files(folder))


def _first(found: list[Path], target: str) -> Path:
    """Returns the adapter folder that contains all others."""
    if beside := [each for each in found if not each.is_relative_to(found[0])]:
        raise SubmissionError(f"{target}: holds adapters in {found[0]} and {beside[0]}; give one of them")
    return found[0]


def _find_module(name: str) -> Path:
    """Returns the path of a module: the folder of a package, or a file."""
    try:
        spec = _spec_of(name) if name.replace(".", "").isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise SubmissionError(f"{name}: no such folder, zip or module; give one, or reference, or module:object")
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _spec_of(name: str) -> ModuleSpec | None:
    """Like `importlib.util.find_spec`, but searches the working folder first, and does not import parent packages."""
    first, *others = name.split(".")
    spec = PathFinder.find_spec(first, [str(Path.cwd())]) or importlib.util.find_spec(first)
    for each in others:
        spec = PathFinder.find_spec(each, list(spec.submodule_search_locations or ())) if spec else None
    return spec
