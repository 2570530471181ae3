"""The folder of an unfinished training: its checkpoints and its settings, from which a later run resumes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import OutputError, TrainingError
from sft_ref.io.locking import LOCK, lock_folder
from sft_ref.io.lora_config import CONFIG
from sft_ref.io.reading import Refusal, read_json

from .checkpoint import check_checkpoint, is_cut_off
from .output_folder import check_can_be_named, check_replaceable, disk_errors

if TYPE_CHECKING:
    from peft import PeftModel

NOTE = "run.json"
_OURS = {NOTE, LOCK, "adapter", "adapter.old"}
"""Names of the folder's entries other than checkpoints."""


@contextlib.contextmanager
def checkpoints_of(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yields the folder of checkpoints next to `folder` to one process at a time; keeps it if a run can resume from it.

    Raises:
        OutputError: another process trains into the folder, or an existing entry must not be replaced.
    """
    _check_free(folder, overwrite=overwrite)
    partial = Path(f"{folder}.partial")
    check_can_be_named(partial)
    if partial.is_symlink():
        raise OutputError(f"{partial} is a link; delete it to start again")
    names = {path.name for path in partial.glob("*") if not path.name.startswith("checkpoint-")}
    if others := sorted(names - _OURS):
        raise OutputError(f"{partial} holds {others[0]}, which is not part of a training; move it away")
    with lock_folder(partial, "choose another folder"):
        try:
            _check_free(folder, overwrite=overwrite)  # another process may have been first
            yield partial
        except BaseException as error:
            if isinstance(error, TrainingError) or not complete_checkpoints(partial):
                _discard(partial)
            raise
        _discard(partial)


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuses a folder that must not be replaced."""
    check_replaceable(folder)
    if (folder / CONFIG).exists() and not overwrite:
        raise OutputError(f"{folder} already holds an adapter; choose another folder, or pass --overwrite")


def begin_or_resume(partial: Path, record: Any) -> None:  # noqa: ANN401  # a dataclass
    """Prepares the folder of checkpoints; keeps those of an interrupted run with the same record.

    Args:
        partial: folder of the checkpoints.
        record: dataclass that describes the training, with a method `to_json`.

    Raises:
        OutputError: the folder belongs to a run with another record, or cannot be written.
    """
    note = partial / NOTE
    if os.path.lexists(note) and complete_checkpoints(partial):
        begun = read_json(note, type(record), Refusal(OutputError, f"delete {partial} to start again"))
        changed = [each.name for each in fields(record) if getattr(begun, each.name) != getattr(record, each.name)]
        if changed:
            raise OutputError(
                f"{partial} holds an unfinished run with another {', '.join(changed)};"
                " repeat its settings to continue, or delete it to start again"
            )
        return
    with disk_errors(partial):
        for checkpoint in partial.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        note.unlink(missing_ok=True)  # writing to it would block if it were a pipe
        note.write_text(record.to_json(), encoding="utf-8")


def _discard(partial: Path) -> None:
    """Removes a folder of checkpoints; if that is interrupted, no later run resumes from the rest."""
    (partial / NOTE).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)


def complete_checkpoints(folder: Path) -> list[Path]:
    """Returns the complete checkpoints, latest last; removes incomplete ones."""
    complete = []
    for checkpoint in folder.glob("checkpoint-*"):
        number = checkpoint.name.rpartition("-")[2]
        if number.isdecimal() and not is_cut_off(checkpoint):
            complete.append((int(number), checkpoint))
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return [checkpoint for _, checkpoint in sorted(complete)]


def last_checkpoint(folder: Path, model: PeftModel) -> str | None:
    """Returns the checkpoint from which a training of this model resumes; None if there is none.

    Raises:
        OutputError: the checkpoint is damaged, or belongs to another adapter.
    """
    complete = complete_checkpoints(folder)
    if not complete:
        return None
    check_checkpoint(complete[-1], model)
    return str(complete[-1])
