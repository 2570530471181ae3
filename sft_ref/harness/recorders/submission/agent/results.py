"""Writes the agent's observations for the harness: one file per section, each complete or absent."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .missing_modules import missing_module, missing_requirements

if TYPE_CHECKING:
    import torch


class ResultWriter:
    """Writes sections to a folder. A crash loses only sections that are not yet written.

    Args:
        folder: output folder, emptied by the harness.
        code: folder of the submission; a crash names the deepest line of its traceback in this folder.
        nonce: secret that goes into every file, to detect files written by others.
    """

    def __init__(self, folder: str, code: str, nonce: str) -> None:
        self.folder, self.code, self.nonce = Path(folder), code, nonce
        self.notes: list[str] = []

    def write(self, section: str, **content: Any) -> None:
        """Writes one JSON file, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"nonce": self.nonce, **_plain(content)})
        path = self.folder / f"{section}.json"
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)

    def tensors(self, section: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Writes one safetensors file."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{section}.part"
        save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, str(part))
        part.replace(self.folder / f"{section}.safetensors")

    def note(self, text: str) -> None:
        """Records a note for the reader of the report on how the code was run."""
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Writes an exception of the submission within the block in place of the section."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # foreign code may raise anything
            self.write(name, crash=self.describe_crash(error))

    def describe_crash(self, error: BaseException) -> dict[str, Any]:
        """Describes an exception: the submission's line that raised it, and the missing module if that is the cause."""
        where, frames = "", traceback.extract_tb(error.__traceback__)
        for frame in frames:
            if frame.filename.startswith(self.code):
                where = f"{os.path.relpath(frame.filename, self.code)}:{frame.lineno}: {frame.line}"
        lacking = missing_module(error, self.code)
        return {
            **({"lacking": lacking, "requirements": missing_requirements(self.code)} if lacking else {}),
            "type": type(error).__name__,
            "message": " ".join(str(error).split())[:500],
            "where": where,
            "functions": [frame.name for frame in frames],
            "trace": "".join(traceback.format_exception(type(error), error, error.__traceback__))[-3000:],
        }


def _plain(value: Any) -> Any:
    """Converts a value for JSON; NaN and infinities become texts that float() reads back."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    number = to_number(value)
    return _plain(number) if isinstance(number, float) else repr(value)[:300]


def to_number(value: Any) -> float | str:
    """Converts a value to a number, or else to a short text."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return repr(value)[:100]
