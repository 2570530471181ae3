"""Finds the files that hold an adapter's tensors and reads their headers. Reads no tensor, opens no pickle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from sft_ref.errors import SubmissionError
from sft_ref.harness.evidence.adapter import AdapterFiles
from sft_ref.io.lora_config import CONFIG, INDEX, PICKLE, WEIGHTS
from sft_ref.io.reading import UnreadableError, is_folder, json_of, kind_of, plain_bytes
from sft_ref.io.tensor_headers import TensorHeader, read_header

_SHARD = re.compile(r"adapter_model-(\d+)-of-(\d+)\.safetensors")


class _Index(msgspec.Struct):
    """Index of the shards, as transformers and peft write it: tensor name -> file name."""

    weight_map: dict[str, str]


def find_files(folder: Path) -> AdapterFiles:
    """Returns the files that hold an adapter's tensors, with their headers.

    Raises:
        SubmissionError: one of the files is a link that leads out of the folder.
    """
    files = AdapterFiles(folder, has_pickle=is_file(folder / PICKLE))
    try:
        single = is_file(folder / WEIGHTS)
        files = replace(files, weights=(folder / WEIGHTS,)) if single else _find_shards(files)
        headers: dict[str, TensorHeader] = {}
        for path in files.weights:
            headers |= read_header(path)
    except UnreadableError as error:
        return replace(files, damage=str(error))
    return replace(files, headers=headers)


def _find_shards(files: AdapterFiles) -> AdapterFiles:
    """Finds the shards that exist and the names of those that are missing."""
    found = [path for path in sorted(files.folder.iterdir()) if _SHARD.fullmatch(path.name) and is_file(path)]
    index = _read_index(files.folder / INDEX) if is_file(files.folder / INDEX) else None
    wanted = set(index.values()) if index is not None else _named_shards(found)
    missing = tuple(sorted(wanted - {path.name for path in found}))
    return replace(files, weights=tuple(found), shards=len(wanted), index=index, missing=missing)


def named_adapters(folder: Path) -> tuple[str, ...]:
    """Returns names of subfolders that hold an adapter: other adapters, and checkpoints."""
    return tuple(sorted(path.name for path in folder.iterdir() if is_folder(path) and (path / CONFIG).is_file()))


def is_file(path: Path) -> bool:
    """Returns whether a path is a plain file, or a link that stays in the folder or in the hub's cache around it.

    Raises:
        SubmissionError: the path is a link that leads elsewhere.
    """
    kind = kind_of(path)
    if kind and path.is_symlink():
        target, own = path.resolve(), path.parent.resolve()
        blobs = next((each.parent / "blobs" for each in own.parents if each.name == "snapshots"), own)
        if not (target.is_relative_to(own) or target.is_relative_to(blobs)):
            raise SubmissionError(f"{path}: is a link that leads out of its folder; put the file itself there")
    return kind == "file"


def _read_index(path: Path) -> Mapping[str, str]:
    try:
        return json_of(plain_bytes(path), _Index).weight_map
    except UnreadableError as error:
        raise UnreadableError(f"{path.name}: {error}") from error


def _named_shards(weights: Iterable[Path]) -> set[str]:
    """Returns the names of all shards, given the total in each shard's name; implausibly large totals are ignored."""
    wanted = set()
    for path in weights:
        match = _SHARD.fullmatch(path.name)
        total = int(match.group(2)) if match else 0
        if match and total <= 1000:  # noqa: PLR2004  # more shards than any real adapter has
            wanted |= {f"adapter_model-{n:0{len(match[1])}d}-of-{match[2]}.safetensors" for n in range(1, total + 1)}
    return wanted
