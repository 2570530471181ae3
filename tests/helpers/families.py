"""Tiny bases of many families, adapters that peft trains on them, and functions that damage the saved adapters."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
VOCABULARY = 96
Tensors = dict[str, torch.Tensor]

_SMALL = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZE = {
    **_SMALL,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
_GROUPED = {**_SIZE, "num_key_value_heads": 2, "head_dim": 8}
_MOE = {"num_local_experts": 4, "num_experts_per_tok": 2}

FAMILIES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "llama": ("LlamaConfig", _GROUPED, ["q_proj", "v_proj", "down_proj"]),
    "mistral": ("MistralConfig", _GROUPED, ["q_proj", "v_proj", "up_proj"]),
    "mixtral": ("MixtralConfig", {**_GROUPED, **_MOE}, ["q_proj", "v_proj"]),
    "qwen2": ("Qwen2Config", {**_SIZE, "num_key_value_heads": 2}, ["q_proj", "k_proj", "gate_proj"]),
    "qwen3": ("Qwen3Config", _GROUPED, ["q_proj", "o_proj", "down_proj"]),
    "gemma2": ("Gemma2Config", _GROUPED, ["q_proj", "v_proj", "down_proj"]),
    "phi3": ("Phi3Config", {**_SIZE, "num_key_value_heads": 2}, ["qkv_proj", "gate_up_proj"]),
    "gpt2": ("GPT2Config", {**_SMALL, "n_embd": 32, "n_layer": 2, "n_head": 4}, ["c_attn", "c_proj"]),
    "gpt_neox": ("GPTNeoXConfig", _SIZE, ["query_key_value", "dense_4h_to_h"]),
    "opt": (
        "OPTConfig",
        {**_SIZE, "ffn_dim": 48, "word_embed_proj_dim": 32},
        ["q_proj", "v_proj", "fc2"],
    ),
    "bloom": ("BloomConfig", {**_SMALL, "hidden_size": 32, "n_layer": 2, "n_head": 4}, ["query_key_value", "dense"]),
    "falcon": ("FalconConfig", _SIZE, ["query_key_value", "dense_h_to_4h"]),
}
"""Family -> class of its configuration, sizes, and adapted modules."""


def build_base(family: str, folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """Saves a base with random weights, which are large enough for its answers to differ."""
    name, sizes, _ = FAMILIES[family]
    config = getattr(transformers, name)(**{**sizes, **changes})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.1)
    model.to(dtype).save_pretrained(folder)
    return folder


def load_base(base: Path) -> Any:
    """Loads a base in fp32."""
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def train(
    base: Path,
    folder: Path,
    *,
    tokens: Sequence[int] = (),
    prepare: Callable[[Any], None] = lambda model: None,
    **options: Any,
) -> Path:
    """Trains an adapter on random tokens, and saves it with peft.

    Args:
        base: folder of the base.
        folder: folder of the adapter.
        tokens: token ids to draw from; all if empty.
        prepare: changes the base before the adapter is added.
        options: options of `LoraConfig`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of unusual options
        model = load_base(base)
        prepare(model)
        peft_model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "lora_alpha": 8, **options}))
        learn(peft_model, tokens or range(model.get_input_embeddings().weight.shape[0]))
        peft_model.save_pretrained(str(folder))
    return folder


def learn(model: Any, tokens: Sequence[int]) -> None:
    """Trains for three steps on random tokens."""
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=3e-2)
    model.train()
    for _ in range(3):
        ids = torch.tensor(tokens)[torch.randint(0, len(tokens), (8, 24))]
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def edit_config(folder: Path, **changes: Any) -> Path:
    """Changes values of a configuration; None removes a key."""
    path = folder / CONFIG
    table = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in table.items() if value is not None or key not in changes}))
    return folder


def edit_tensors(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """Changes the tensors of an adapter."""
    tensors = change(load_file(folder / WEIGHTS))
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    return folder


def rename(folder: Path, change: Callable[[str], str]) -> Path:
    """Renames all tensors of an adapter."""
    return edit_tensors(folder, lambda tensors: {change(name): tensor for name, tensor in tensors.items()})


def drop(folder: Path, part: str) -> Path:
    """Removes the tensors whose names contain a text; fails if there are none."""

    def without(tensors: Tensors) -> Tensors:
        kept = {name: tensor for name, tensor in tensors.items() if part not in name}
        assert len(kept) < len(tensors)
        return kept

    return edit_tensors(folder, without)


def shard(folder: Path, number: int, *, index: bool) -> Path:
    """Splits an adapter into shards, with or without an index."""
    tensors = load_file(folder / WEIGHTS)
    names = sorted(tensors)
    where: dict[str, str] = {}
    for at in range(number):
        file = f"adapter_model-{at + 1:05d}-of-{number:05d}.safetensors"
        save_file({name: tensors[name] for name in names[at::number]}, folder / file)
        where |= dict.fromkeys(names[at::number], file)
    (folder / WEIGHTS).unlink()
    if index:
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder
