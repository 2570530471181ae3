"""Decides whether training can continue from a checkpoint, before anything of it is loaded."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from sft_ref.errors import OutputError
from sft_ref.io.foreign import foreign_files
from sft_ref.io.lora_config import WEIGHTS
from sft_ref.io.reading import Refusal, UnreadableError, json_of, kind_of, plain_bytes
from sft_ref.io.tensor_headers import read_header

if TYPE_CHECKING:
    from peft import PeftModel

_STATE = "trainer_state.json"


class _LogEntry(msgspec.Struct):
    """One entry of the log history."""

    step: float
    loss: float | None = None
    grad_norm: float | None = None


class _TrainerState(msgspec.Struct):
    """The required keys of the state that transformers' Trainer writes."""

    global_step: Annotated[int, Meta(ge=1)]
    log_history: list[_LogEntry]


def is_cut_off(folder: Path) -> bool:
    """Returns whether writing a checkpoint was cut off: its state, which is written last, is missing or incomplete."""
    state = folder / _STATE
    if kind_of(state) is None:
        return True
    try:
        json.loads(plain_bytes(state))
    except ValueError:
        return True
    except (UnreadableError, RecursionError):  # `check_checkpoint` reports it
        return False
    return False


def check_checkpoint(folder: Path, model: PeftModel) -> None:
    """Refuses a checkpoint that is damaged, or that contains another adapter than the model's.

    Raises:
        OutputError: the checkpoint is refused.
    """
    refusal = _refusal(folder)
    with reading_checkpoint(folder):
        names = sorted(path.name for path in folder.iterdir() if kind_of(path) == "other")
    if names:
        raise refusal.of(folder / names[0], "it is not a regular file")
    try:
        state = json_of(plain_bytes(folder / _STATE), _TrainerState)
        stored = {name: header.shape for name, header in read_header(folder / WEIGHTS).items()}
    except UnreadableError as error:
        raise refusal.of(folder, error) from error
    if folder.name != f"checkpoint-{state.global_step}":
        raise refusal.of(folder / _STATE, f"its step, {state.global_step}, is not that of the folder's name")
    from peft import get_peft_model_state_dict

    due = get_peft_model_state_dict(model, save_embedding_layers=False)
    if not {name: tuple(tensor.shape) for name, tensor in due.items()}.items() <= stored.items():
        raise refusal.of(folder / WEIGHTS, "its tensors are not those of the adapter that is trained")


def reading_checkpoint(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Turns any error that a damaged checkpoint causes in a library within its context into an `OutputError`."""
    return foreign_files(OutputError, f"{folder}: cannot be read", _refusal(folder).remedy)


def _refusal(folder: Path) -> Refusal:
    return Refusal(OutputError, f"delete {folder.parent} to start again")
