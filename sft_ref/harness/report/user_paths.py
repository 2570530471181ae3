"""Replaces scratch paths in the texts of a verdict by the user's paths."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TypeVar

from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Result
from sft_ref.harness.core.verdict import Coverage, Suspect, Verdict

SCRATCH = "(scratch folder)"
"""Replacement for a path that the user did not supply."""

T = TypeVar("T", Verdict, Suspect, Coverage, Result)


def show_user_paths(verdict: Verdict, names: Mapping[str, str]) -> Verdict:
    """Returns the same verdict, with the user's paths in its texts.

    Args:
        verdict: verdict on a copy of the user's files.
        names: scratch path -> the user's path; if several match, the longest is replaced first.
    """

    def rename(text: str) -> str:
        return _rename(text, names)

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


@contextlib.contextmanager
def errors_with_user_paths(names: Mapping[str, str]) -> Iterator[None]:
    """Replaces, within the context, scratch paths in this package's errors by the user's paths.

    Raises:
        SftRefError: the error raised within the context, with the user's paths.
    """
    try:
        yield
    except SftRefError as error:
        raise type(error)(_rename(str(error), names)) from error


def _rename(text: str, names: Mapping[str, str]) -> str:
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text
