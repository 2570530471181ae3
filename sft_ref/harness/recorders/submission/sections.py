"""Types of the agent's results, by section; a file with other types was not written by the agent."""

from __future__ import annotations

from typing import Annotated, Any, Required, TypedDict

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Id = _Count
_Beta = Annotated[float, msgspec.Meta(gt=0, lt=1)]
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
    examples: list[_Count]
    position_ids: list[_Count]


class _Generation(TypedDict):
    prompt_ids: list[_Id]
    question: _Count | None
    new_token_ids: list[_Id]
    non_greedy: _Count
    continues_cache: bool


class _Section(TypedDict, total=False):
    crash: _Crash


class _Start(_Section, total=False):
    versions: dict[str, str]


class _Train(_Section, total=False):
    done: bool


class _TrainingLog(_Section, total=False):
    examples: list[tuple[list[_Id], list[_Label]]]
    forward_passes: list[tuple[list[_Count | _Packed], float | str | None]]
    optimizer_steps: list[tuple[float | str, _Count, list[float | str] | None]]
    labelled_padding: _Count
    has_labels: bool
    optimizer: dict[str, Any]
    dtype_counts: _Named
    changed_base_weights: list[str]
    shortened: Any
    is_cut: bool
    active_adapters: list[str]
    other_adapters: list[str]
    models: _Count
    first_pass: _Count


class _RecordedStep(TypedDict):
    rate: float | str
    trained: list[str] | None
    outside: list[str]
    stale: list[str]
    dropped: list[str]
    idle: list[str]
    decay: float | str
    clipping: float | str | None
    clipped: float | str
    dtypes: dict[str, str] | None
    betas: list[tuple[_Beta, _Beta]]
    passes: tuple[_Count, _Count]


class _TrainingSteps(_Section, total=False):
    steps: list[_RecordedStep]


class _Pretrained(_Section, total=False):
    model_names: list[str]
    added_tokens: dict[str, str]


class _Load(_Section, total=False):
    adapter_folders: list[str]
    dtype_counts: _Named
    tokenizer_size: _Count | None


class _Answers(_Section, total=False):
    values: list[_Scalar]
    parsed_texts: list[tuple[str, _Scalar]]
    generations: list[_Generation]


class _WithoutCache(_Section, total=False):
    autocast: str | None
    new_token_ids: list[list[_Id]]
    generated: list[list[float]]
    alone: list[list[float]]


class _Probes(_Section, total=False):
    max_difference: float | str
    dtype_counts: _Named
    active_adapters: list[str]


class _Parse(_Section, total=False):
    values: list[_Scalar] | None


class _Score(_Section, total=False):
    answers: list[tuple[Any, _Scalar]]
    prompts: list[list[_Id]]
    metrics: dict[str, list[_Scalar]]
    output: str


class _OtherFolder(_Section, total=False):
    loaded: bool
    adapter_folders: list[str]


class _End(_Section, total=False):
    notes: list[str]


_TYPES: dict[str, Any] = {
    "start": _Start,
    "train": _Train,
    "training_log": _TrainingLog,
    "training_steps": _TrainingSteps,
    "pretrained": _Pretrained,
    "load": _Load,
    "answers": _Answers,
    "without_cache": _WithoutCache,
    "probes": _Probes,
    "parse": _Parse,
    "score": _Score,
    "other_folder": _OtherFolder,
    "end": _End,
}
_SCRIPT = "script_"
"""Sections with this prefix have the type of answers."""


def is_well_formed(name: str, content: dict[str, Any]) -> bool:
    """Returns whether a section has the types that the agent writes."""
    due = _Answers if name.startswith(_SCRIPT) else _TYPES.get(name)
    if due is None:
        return False
    try:
        msgspec.convert(content, due)
    except (msgspec.ValidationError, ValueError, RecursionError):  # ValueError: a lone surrogate in a name
        return False
    return True
