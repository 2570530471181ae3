"""Writes an adapter folder completely or not at all, and replaces nothing but an older adapter."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from sft_ref.errors import OutputError
from sft_ref.io.exchange import exchange
from sft_ref.io.lora_config import CONFIG
from sft_ref.io.reading import kind_of, shortened, why_no_path

_ADDED = ".12345678.partial"
"""As long as what is added to a folder's name while it is written."""


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Context that turns what libraries raise on a full or read-only disk into one error that names the folder.

    Raises:
        OutputError: a file cannot be written.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {folder} ({error}); free space, or choose another folder") from error
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "inline_container" not in str(error):
            raise  # it is not torch.save that failed
        raise OutputError(f"cannot write {folder} (no space left?); free space, or choose another folder") from error


@contextlib.contextmanager
def whole_folder(folder: Path, scratch: Path) -> Iterator[Path]:
    """Yields an empty folder, which replaces `folder` on success and is removed on failure.

    Args:
        folder: where the adapter goes.
        scratch: where the new folder is made, on the same disk.

    Raises:
        OutputError: the disk is full, the place cannot be written, or there is something else than an adapter.
    """
    check_replaceable(folder)
    with disk_errors(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            yield scratch
            _put(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _put(scratch: Path, folder: Path) -> None:
    """Moves a folder to its place, in one step where the system can; what was there before is in `scratch` then."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.replace(folder)
    elif not exchange(scratch, folder):
        old = Path(f"{scratch}.old")
        folder.replace(old)
        try:
            scratch.replace(folder)
        except BaseException:
            old.replace(folder)
            raise
        old.replace(scratch)


def check_replaceable(folder: Path) -> None:
    """Refuses to replace anything but an adapter or an empty folder.

    Raises:
        OutputError: it is no folder, or one that holds other things than an adapter.
    """
    check_can_be_named(folder)
    if folder.is_symlink():  # a rename would put the adapter in the place of the link
        raise OutputError(f"{folder} is a link; give the folder that it stands for")
    kind = kind_of(folder)
    if kind and not (kind == "folder" and (kind_of(folder / CONFIG) == "file" or not any(folder.iterdir()))):
        raise OutputError(f"{folder} exists and is no adapter folder; choose another, or move it away")


def check_can_be_named(folder: Path) -> None:
    """Refuses a path at which no folder can be made.

    Raises:
        OutputError: it is too long, with what is added to it while writing, or leads through a loop of links.
    """
    longest = folder.with_name(f"{folder.name}{_ADDED}") if folder.name else folder
    if reason := why_no_path(folder) or why_no_path(longest):
        raise OutputError(f"cannot write {shortened(folder)} ({reason}); choose another folder")
