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
"""A suffix as long as the one added to a folder's name during writing."""


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns errors of libraries on a full or read-only disk within its context into one error that names the folder.

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
            raise  # not a failure of torch.save
        raise OutputError(f"cannot write {folder} (no space left?); free space, or choose another folder") from error


@contextlib.contextmanager
def atomic_folder(folder: Path, scratch: Path) -> Iterator[Path]:
    """Yields an empty folder, which replaces `folder` on success and is removed on failure.

    Args:
        folder: folder of the adapter.
        scratch: temporary folder on the same disk.

    Raises:
        OutputError: the disk is full, the folder cannot be written, or it exists and is not an adapter.
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
    """Moves `scratch` to `folder`, atomically if the system supports it; a previous folder ends up in `scratch`."""
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
        OutputError: the path is a link or not a folder, or the folder contains something other than an adapter.
    """
    check_can_be_named(folder)
    if folder.is_symlink():  # a rename would replace the link itself
        raise OutputError(f"{folder} is a link; give the folder that it points to")
    kind = kind_of(folder)
    if kind and not (kind == "folder" and (kind_of(folder / CONFIG) == "file" or not any(folder.iterdir()))):
        raise OutputError(f"{folder} exists and is not an adapter folder; choose another, or move it away")


def check_can_be_named(folder: Path) -> None:
    """Refuses a path at which no folder can be created.

    Raises:
        OutputError: the path is too long, including the suffix added during writing, or has a loop of links.
    """
    longest = folder.with_name(f"{folder.name}{_ADDED}") if folder.name else folder
    if reason := why_no_path(folder) or why_no_path(longest):
        raise OutputError(f"cannot write {shortened(folder)} ({reason}); choose another folder")
