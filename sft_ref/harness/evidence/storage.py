"""Saves a tree of frozen dataclasses to one file, and loads it back with type validation.

The file is a safetensors file: it holds the tensors by name, and its metadata holds everything else as JSON. Nothing in
it is executed. A loaded file may come from an untrusted source: its header, JSON, types and checksum are verified
before any of it is used.

Supported types are str, int, float, bool, None, Path, enums, literals, tuples, lists, sets, mappings, tensors and
dataclasses of these. A value that is annotated as `Any` or `object` must be plain JSON.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

from sft_ref.errors import EvidenceError
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Refusal, UnreadableError, converted, json_of
from sft_ref.io.tensor_headers import read_header, read_metadata

T = TypeVar("T")

SUFFIX = ".safetensors"
VERSION = 2
"""Version of the file layout. Files of another version are refused."""

_KEY = "sft_ref_evidence"
_REFUSAL = Refusal(EvidenceError, "give a file that --save-evidence wrote, or grade the target again")


class _Envelope(msgspec.Struct):
    """The metadata of the file.

    Attributes:
        version: version of the layout.
        type: class name of `value`.
        digest: checksum of the JSON of `value` and of all tensors.
        value: the dataclass, with each tensor replaced by its name.
    """

    version: int
    type: str
    digest: str
    value: Any


def save(evidence: object, path: Path) -> None:
    """Writes a dataclass to a file atomically.

    Raises:
        OutputError: the file cannot be written.
        TypeError: a field has an unsupported type.
    """
    from safetensors.torch import save as to_bytes

    tensors: dict[str, torch.Tensor] = {}

    def encode(value: object) -> str:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, torch.Tensor):
            name = f"tensor-{len(tensors)}"
            tensors[name] = value.detach().cpu().contiguous().clone()  # safetensors refuses shared memory
            return name
        raise TypeError(f"cannot save a {type(value).__name__}")

    value = msgspec.to_builtins(evidence, str_keys=True, enc_hook=encode)
    envelope = _Envelope(VERSION, type(evidence).__name__, _digest(value, tensors), value)
    write_atomic(path, to_bytes(tensors, {_KEY: json.dumps(msgspec.to_builtins(envelope))}))


def load(path: Path, *types: type[T]) -> T:
    """Loads the dataclass that a file contains.

    Args:
        path: path of the file.
        types: accepted classes.

    Raises:
        EvidenceError: the file cannot be read, is damaged, or contains an object of another class.
    """
    try:
        return _load(path, {type_.__name__: type_ for type_ in types})
    except UnreadableError as error:
        raise _REFUSAL.of(path, error) from error


def _load(path: Path, types: Mapping[str, type[T]]) -> T:
    from safetensors import safe_open

    headers = read_header(path)
    text = read_metadata(path).get(_KEY)
    if text is None:
        raise UnreadableError("it holds no evidence")
    envelope = json_of(text, _Envelope)
    if envelope.version != VERSION:
        raise UnreadableError(
            f"it has version {envelope.version} of the layout, and only version {VERSION} can be read"
        )
    if envelope.type not in types:
        raise UnreadableError(f"it holds {reprlib.repr(envelope.type)}, not {' or '.join(types)}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in headers}
    except Exception as error:  # a foreign file may break the library in any way
        raise UnreadableError(f"its tensors cannot be read: {error}") from error
    if envelope.digest != _digest(envelope.value, tensors):
        raise UnreadableError("its checksum does not match: it is damaged, or was edited")

    def decode(expected: type, value: object) -> object:
        if expected is Path and isinstance(value, str):
            return Path(value)
        if expected is torch.Tensor and isinstance(value, str) and value in tensors:
            return tensors[value]
        raise ValueError(f"expected {expected.__name__}, got {value!r:.80}")

    return converted(envelope.value, types[envelope.type], decode)


def _digest(value: object, tensors: Mapping[str, torch.Tensor]) -> str:
    """Computes a checksum of plain JSON and of tensors with their names, dtypes and shapes."""
    checksum = hashlib.sha256(json.dumps(value, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        checksum.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        checksum.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return checksum.hexdigest()
