"""GGUF files with the tokenizer of a base, as llama.cpp's converter writes them, and edited ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_ARCHITECTURE = "llama"
_CONTROL, _NORMAL = 3, 1


def metadata_of(base: Path) -> dict[str, Any]:
    """What a sound file of a base with a tokenizer that merges pairs holds, by its keys."""
    table = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary = {**table["model"]["vocab"], **{each["content"]: each["id"] for each in table["added_tokens"]}}
    special = {each["id"] for each in table["added_tokens"]}
    merges = [each if isinstance(each, str) else " ".join(each) for each in table["model"]["merges"]]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    template = base / "chat_template.jinja"
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_CONTROL if vocabulary[each] in special else _NORMAL for each in tokens],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": vocabulary[config["bos_token"]],
        "tokenizer.ggml.eos_token_id": vocabulary[config["eos_token"]],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template.read_text() if template.is_file() else config["chat_template"],
    }


def write(path: Path, table: Mapping[str, Any]) -> Path:
    """A file with such metadata and one small tensor; what is None is left out."""
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    for key, value in table.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)
    writer.add_tensor("token_embd.weight", np.zeros((32, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
