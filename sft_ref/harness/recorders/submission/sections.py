"""The types of what the agent writes, by section: a file of other types was written by somebody else."""

from __future__ import annotations

from typing import Annotated, Any, Required, TypedDict

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Id = _Count
_Label = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_Scalar = float | bool | str | None
_Named = dict[str, dict[str, _Count]]


class _Crash(TypedDict, total=False):
    lacking: str
    requirements: list[str]
    type: Required[str]
    message: Required[str]
    where: str
    functions: list[str]
    trace: Required[str]


class _Packed(TypedDict):
    texts: list[_Count]
    positions: list[_Count]


class _Heard(TypedDict):
    prompt: list[_Id]
    said: list[_Id]
    off: _Count
    continued: bool


class _Section(TypedDict, total=False):
    crash: _Crash


class _Start(_Section, total=False):
    versions: dict[str, str]


class _Train(_Section, total=False):
    done: bool


class _Lessons(_Section, total=False):
    rows: list[tuple[list[_Id], list[_Label]]]
    passes: list[tuple[list[_Count | _Packed], float | str | None]]
    steps: list[tuple[float | str, _Count, list[float | str] | None]]
    padding_labelled: _Count
    labelled: bool
    optimizer: dict[str, Any]
    counted: _Named
    changed: list[str]
    shortened: Any
    adapter: bool
    active: list[str]
    others: list[str]


class _Bases(_Section, total=False):
    asked_for: list[str]
    added: dict[str, str]


class _Load(_Section, total=False):
    read: list[str]
    counted: _Named
    vocabulary: _Count | None


class _Answers(_Section, total=False):
    values: list[_Scalar]
    texts: list[tuple[str, _Scalar]]
    heard: list[_Heard]


class _Probes(_Section, total=False):
    apart: float | str
    training: bool
    counted: _Named
    active: list[str]


class _Parse(_Section, total=False):
    values: list[_Scalar] | None


class _Score(_Section, total=False):
    given: list[tuple[Any, _Scalar]]
    heard: list[list[_Id]]
    figures: dict[str, list[_Scalar]]
    printed: str


class _Elsewhere(_Section, total=False):
    loaded: bool
    read: list[str]


class _End(_Section, total=False):
    notes: list[str]


_TYPES: dict[str, Any] = {
    "start": _Start,
    "train": _Train,
    "lessons": _Lessons,
    "bases": _Bases,
    "load": _Load,
    "answers": _Answers,
    "probes": _Probes,
    "parse": _Parse,
    "score": _Score,
    "elsewhere": _Elsewhere,
    "end": _End,
}
_SCRIPT = "script_"
"""Sections whose names begin so are answers too."""


def is_well_formed(name: str, content: dict[str, Any]) -> bool:
    """Whether a section has the types that the agent gives to it."""
    due = _Answers if name.startswith(_SCRIPT) else _TYPES.get(name)
    if due is None:
        return False
    try:
        msgspec.convert(content, due)
    except (msgspec.ValidationError, ValueError, RecursionError):  # ValueError: half a character in a name
        return False
    return True
