"""Makes the files that a case asks for: copies of sound ones, with one thing changed."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]

DEEP = 100_000
HUGE = 300 * 2**20
NESTED = 1_500


def copy(source: Path, folder: Path) -> None:
    """Hard links: a change puts another file in the place of the link, so that the source stays as it is."""
    shutil.copytree(source, folder, copy_function=os.link)


def change(path: Path, how: Mapping[str, Any]) -> None:
    """Does to one file what a case says; see `CHANGES`."""
    [(word, value)] = how.items()
    CHANGES[word](path, value)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _text(path: Path, text: str) -> None:
    _put(path, text.encode())


def _hex(path: Path, digits: str) -> None:
    _put(path, bytes.fromhex(digits))


def _set(path: Path, values: Mapping[str, str]) -> None:
    """Puts values, written as JSON, at the keys of a JSON object; a dotted key reaches into the objects in it."""
    table = json.loads(path.read_bytes())
    for key, value in values.items():
        *parents, last = key.split("/")
        inner = table
        for parent in parents:
            inner = inner[parent]
        inner[last] = json.loads(value)
    _put(path, json.dumps(table).encode())


def _drop(path: Path, keys: list[str]) -> None:
    table = json.loads(path.read_bytes())
    _put(path, json.dumps({key: value for key, value in table.items() if key not in keys}).encode())


def _cut(path: Path, size: int) -> None:
    _put(path, path.read_bytes()[:size])


def _kind(path: Path, kind: str) -> None:
    """Puts something of another kind in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    _KINDS[kind](path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


def _rows(path: Path, row: str) -> None:
    """A list of rows in which the second is the given one, written as JSON."""
    _text(path, f'[["How many g are in 1 kg?", 1000], {row}]')


def _tensors(path: Path, name: str) -> None:
    tensors = load_file(path)
    path.unlink()
    save_file({name: tensor.clone().contiguous() for name, tensor in _SPOILT[name](tensors).items()}, path)


def _header(path: Path, text: str) -> None:
    """A safetensors file with this header and a kilobyte behind it."""
    _put(path, len(text).to_bytes(8, "little") + text.encode() + bytes(1024))


def _zip(path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x = 1\n")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


CHANGES: dict[str, Callable[[Path, Any], None]] = {
    "text": _text,
    "hex": _hex,
    "set": _set,
    "drop": _drop,
    "cut": _cut,
    "kind": _kind,
    "rows": _rows,
    "tensors": _tensors,
    "header": _header,
    "zip": _zip,
    "link": _link,
}

_KINDS: dict[str, Callable[[Path], None]] = {
    "missing": lambda path: None,
    "empty": lambda path: _put(path, b""),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "device": lambda path: path.symlink_to("/dev/null"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "huge": _huge,
    "deep list": lambda path: _text(path, "[" * DEEP),
    "deep closed list": lambda path: _text(path, "[" * 400 + "]" * 400),
    "deep object": lambda path: _text(path, '{"a":' * DEEP),
    "pickle": lambda path: torch.save({"a": torch.ones(2)}, path),
}


def _first(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    def changed(tensors: Tensors) -> Tensors:
        name = min(tensors)
        return {**tensors, name: change(tensors[name])}

    return changed


def _with(tensor: torch.Tensor, value: float) -> torch.Tensor:
    spoilt = tensor.clone()
    spoilt.flatten()[0] = value
    return spoilt


def _all(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: change(tensor) for name, tensor in tensors.items()}


def _renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


def _without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


_SPOILT: dict[str, Callable[[Tensors], Tensors]] = {
    "none": lambda tensors: {},
    "nan": _first(lambda tensor: _with(tensor, float("nan"))),
    "infinity": _first(lambda tensor: _with(tensor, float("-inf"))),
    "fp8": _all(lambda tensor: tensor.to(torch.float8_e4m3fn)),
    "fp8 e5m2": _all(lambda tensor: tensor.to(torch.float8_e5m2)),
    "float64 on one": _first(lambda tensor: tensor.double()),
    "integers": _all(lambda tensor: tensor.to(torch.int32)),
    "truth values": _all(lambda tensor: tensor.bool()),
    "complex": _first(lambda tensor: tensor.to(torch.complex64)),
    "one vector": _first(torch.flatten),
    "one scalar": _first(lambda tensor: torch.tensor(1.0)),
    "one empty": _first(lambda tensor: tensor[:0]),
    "one wider": _first(lambda tensor: torch.cat([tensor, tensor])),
    "one extra": lambda tensors: {**tensors, "extra": torch.ones(2)},
    "no A": _without("lora_A"),
    "no q_proj": _without("q_proj"),
    "no layer 0": _without("layers.0."),
    "layers far away": _renamed("layers.0.", "layers.77."),
    "names of other modules": _renamed("q_proj", "wq"),
    "name with dots": _renamed("q_proj", "..."),
    "transposed": _all(lambda tensor: tensor.T.contiguous()),
    "no embedding": _without("embed_tokens"),
    "no norm": _without("model.norm"),
    "no mlp": _without("mlp"),
    "no down_proj": _without("down_proj"),
}
