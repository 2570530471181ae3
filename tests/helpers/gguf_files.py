"""Writes GGUF files with the tokenizer of a base, like llama.cpp's converter, and edited ones."""

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
    """Returns the metadata of a sound file, by key, for a base with a BPE tokenizer."""
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
    """Writes a file with this metadata and one small tensor; omits keys whose value is None."""
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    _add_metadata(writer, table)
    writer.add_tensor("token_embd.weight", np.zeros((32, 8), dtype=np.float32))
    _finish(writer)
    return path


def _add_metadata(writer: Any, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_model(path: Path, model: Any, base: Path, changes: Mapping[str, Any]) -> Path:
    """Writes a complete Llama model with its tokenizer in float32, as llama.cpp loads it.

    Args:
        path: file path.
        model: model of transformers, with tied embeddings.
        base: folder with its tokenizer.
        changes: changes of the tokenizer's metadata.
    """
    config = model.config
    writer = gguf.GGUFWriter(path, _ARCHITECTURE)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    table = {**metadata_of(base), **changes}
    missing = config.vocab_size - len(table["tokenizer.ggml.tokens"])
    table["tokenizer.ggml.tokens"] += [f"[PAD{n}]" for n in range(missing)]
    table["tokenizer.ggml.token_type"] += [gguf.TokenType.UNUSED] * missing
    _add_metadata(writer, table)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        values = tensor.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        if count := heads.get(name.split(".")[-2]):  # llama.cpp rotates neighbours, transformers halves
            rows, columns = values.shape
            values = values.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        there = names.get_name(name, (".weight",))
        assert there is not None, name
        writer.add_tensor(there, np.ascontiguousarray(values))
    _finish(writer)
    return path
