"""Puts the user's paths in place of scratch paths, in all that a verdict shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from .check import Result
from .verdict import Coverage, Suspect, Verdict

T = TypeVar("T", Verdict, Suspect, Coverage, Result)


def show_user_paths(verdict: Verdict, names: Mapping[Path, str]) -> Verdict:
    """The same verdict, with each scratch path in its texts replaced by what the user knows it by.

    Args:
        verdict: on a copy of what the user gave.
        names: scratch path -> the user's path. Of a path and its parent, the longer one is replaced first.
    """
    ordered = sorted(((str(path), name) for path, name in names.items()), key=lambda each: -len(each[0]))

    def rename(text: str) -> str:
        for path, name in ordered:
            text = text.replace(path, name)
        return text

    def renamed(record: T) -> T:
        changed: dict[str, object] = {}
        for field in fields(record):
            value = getattr(record, field.name)
            if isinstance(value, str) and type(value) is str:
                changed[field.name] = rename(value)
            elif isinstance(value, tuple) and all(isinstance(each, str) for each in value):
                changed[field.name] = tuple(map(rename, value))
        return replace(record, **changed)  # type: ignore[arg-type]  # each field keeps its type

    return replace(
        renamed(verdict),
        suspects=tuple(map(renamed, verdict.suspects)),
        coverage=tuple(map(renamed, verdict.coverage)),
        results=tuple(map(renamed, verdict.results)),
        cleared={stage: rename(measured) for stage, measured in verdict.cleared.items()},
    )
