"""Packs the files of a target into bytes that are sent to a node, and unpacks them there; follows no link."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.isolation.unpack import unpack
from sft_ref.io.plain_files import open_file, scratch_folder
from sft_ref.io.reading import is_folder

LARGEST = 2**31
"""Maximum number of bytes of a target that is held in memory and sent to a node."""


@dataclass(frozen=True)
class PackedTarget:
    """A target as bytes.

    Attributes:
        name: name of the target's file or folder.
        data: content of the file, or a zip of the folder.
        is_folder: whether the target is a folder.
    """

    name: str
    data: bytes
    is_folder: bool

    def unpack(self, folder: Path) -> Path:
        """Writes the target to a folder, and returns its path there."""
        path = folder / self.name
        if not self.is_folder:
            path.write_bytes(self.data)
            return path
        archive = folder / "packed.zip"
        archive.write_bytes(self.data)
        (folder / "unpacked").mkdir()
        unpack(archive, folder / "unpacked" / self.name)
        archive.unlink()
        return folder / "unpacked" / self.name


def pack(target: str) -> PackedTarget:
    """Packs a file or folder into bytes.

    Raises:
        SubmissionError: `unpack` refuses the target, it is too large, or a file name cannot be stored in a zip.
    """
    path = Path(target).resolve()
    try:
        if not is_folder(path):
            with open_file(path.parent, (path.name,)) as file:
                return PackedTarget(path.name, _read(file, target), is_folder=False)
        with scratch_folder() as folder:
            return PackedTarget(path.name, _zip(unpack(Path(target), folder / "copy"), target), is_folder=True)
    except OSError as error:
        raise SubmissionError(f"{target}: cannot be read ({error})") from error


def _zip(copy: Path, target: str) -> bytes:
    """Packs the files of a folder into an uncompressed zip, so that no limit on the compression ratio refuses it."""
    buffer = io.BytesIO()
    files = sorted(each for each in copy.rglob("*") if each.is_file())
    if sum(each.stat().st_size for each in files) > LARGEST:
        raise SubmissionError(_too_large(target))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for file in files:
            name = str(file.relative_to(copy))
            try:
                archive.write(file, name)
            except UnicodeEncodeError as error:
                raise SubmissionError(f"{target}: {name!r} is not UTF-8; rename it, or leave out --ray") from error
    return buffer.getvalue()


def _read(file: io.BufferedReader, target: str) -> bytes:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise SubmissionError(_too_large(target))
    return data


def _too_large(target: str) -> str:
    return f"{target}: is larger than {LARGEST // 2**30} GiB, too large to be sent to a node; grade it without --ray"
