"""Reads the configuration of an untrusted base as data, and compares it with the weights before a model is built.

No code of a base is executed, whatever its configuration names.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.errors import BaseModelError

from .foreign import foreign_files
from .lora_config import CONFIG as ADAPTER_CONFIG
from .reading import Refusal, UnreadableError, kind_of, read_json
from .tensor_headers import TensorHeader, read_header

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

_REFUSAL = Refusal(BaseModelError, "give the folder of a model")

_PER_BYTE = 4
"""Parameters per byte in the most compact format."""

_MOST_LAYERS, _MOST_EXPERTS, _MOST_SIZE = 1024, 1024, 2**24
"""Sizes that no known model exceeds; they limit a configuration without weights."""

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d{1,9})\.")
"""The number of a layer in the name of a tensor."""
_LAYERS = ("num_hidden_layers", "encoder_layers", "decoder_layers")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_SIZES = (
    *("hidden_size", "intermediate_size", "moe_intermediate_size", "vocab_size", "head_dim"),
    *("num_attention_heads", "num_key_value_heads"),
)


class _BaseTable(msgspec.Struct):
    """The keys of a configuration that are needed before transformers reads it."""

    model_type: str | None = None
    auto_map: dict[str, Any] | None = None


class _WeightIndex(msgspec.Struct):
    """The index of sharded weights, as transformers writes it."""

    weight_map: dict[str, str]


def read_config(folder: Path) -> Any:  # noqa: ANN401  # a PretrainedConfig of any family
    """Returns the configuration of a causal language model.

    Raises:
        BaseModelError: it cannot be read, is not a causal language model that transformers knows, or needs custom code.
    """
    table = read_json(folder / CONFIG, _BaseTable, _REFUSAL)
    _check_files(folder)
    if kind_of(folder / ADAPTER_CONFIG) is not None:
        raise BaseModelError(
            f"base {folder}: holds {ADAPTER_CONFIG} as well, and transformers would apply that adapter to it;"
            " give a folder with the base alone"
        )
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    if table.model_type is None:
        raise BaseModelError(f"base {folder}: its config.json has no model_type; give the folder of a model")
    if table.model_type not in CONFIG_MAPPING and table.auto_map:
        raise BaseModelError(
            f"base {folder}: needs code of its own (auto_map in config.json), which is not executed;"
            " give a base that transformers knows"
        )
    with foreign_files(BaseModelError, f"base {folder}: its config.json cannot be used"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise BaseModelError(
            f"base {folder}: model_type {table.model_type[:80]!r} is not a causal language model that the installed"
            " transformers knows; give another base, or update transformers"
        )
    return config


def _check_files(folder: Path) -> None:
    """Refuses pipes and devices, on which a library would block."""
    with foreign_files(BaseModelError, f"base {folder}: cannot be read"):
        names = sorted(path.name for path in folder.iterdir() if kind_of(path) == "other")
    if names:
        raise BaseModelError(f"base {folder}: {names[0]} is not a regular file; give the folder of a model")


def refuse_tokenizer_code(folder: Path) -> None:
    """Refuses a tokenizer that needs custom code.

    Raises:
        BaseModelError: its configuration names custom code, or cannot be read.
    """
    _check_files(folder)
    if kind_of(folder / TOKENIZER_CONFIG) is None:
        return
    table = read_json(
        folder / TOKENIZER_CONFIG, dict[str, Any], Refusal(BaseModelError, "give a folder with a tokenizer")
    )
    if table.get("auto_map"):
        raise BaseModelError(
            f"base {folder}: its tokenizer needs code of its own (auto_map in {TOKENIZER_CONFIG}),"
            " which is not executed; give a base whose tokenizer transformers knows"
        )


def empty_model(config: Any, folder: Path, rows: int | None = None) -> Any:  # noqa: ANN401  # of any family
    """Builds the model on the meta device: names and shapes without values.

    Args:
        config: configuration of the model; it is not changed.
        folder: for the error message.
        rows: number of rows of the embedding; None takes the number in the configuration.

    Raises:
        BaseModelError: no model can be built from the configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    if rows is not None:
        config.get_text_config().vocab_size = rows
    with (
        foreign_files(BaseModelError, f"base {folder}: no model can be built from its config.json"),
        torch.device("meta"),
    ):
        # else the configuration may name an attention that is downloaded from the hub as code
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, attn_implementation="eager")
        model.tie_weights()
    return model


def has_weights(folder: Path) -> bool:
    """Returns whether a base's folder has safetensors weights, or some of them; a copy may have no weights."""
    return kind_of(folder / WEIGHTS) is not None or any(folder.glob("model-*-of-*.safetensors"))


def check_known_sizes(config: Any, folder: Path) -> None:  # noqa: ANN401
    """Refuses sizes that no known model has, for a configuration without weights that would show the model's size.

    Raises:
        BaseModelError: a size is larger than that of any known model.
    """
    text = config.get_text_config()
    for names, most in ((_LAYERS, _MOST_LAYERS), (_EXPERTS, _MOST_EXPERTS), (_SIZES, _MOST_SIZE)):
        _check_range(text, names, most, folder, "no known model has more than")


def check_sizes(config: Any, folder: Path) -> dict[str, TensorHeader]:  # noqa: ANN401
    """Refuses sizes that do not fit the weights on disk, before anything of that size is built.

    Returns:
        The headers of the weight files.

    Raises:
        BaseModelError: there are no weights, they cannot be read, or the configuration needs more parameters.
    """
    headers = _read_headers(folder)
    numbers = _PER_BYTE * sum(path.stat().st_size for path in {header.file for header in headers.values()})
    largest = max((side for header in headers.values() for side in header.shape), default=0)
    text = config.get_text_config()
    layers = {int(match[1]) for name in headers if (match := _LAYER.search(name))}
    _check_range(text, _LAYERS, len(layers) or len(headers), folder)
    _check_range(text, _EXPERTS, max(largest, len(headers)), folder)
    _check_range(text, _SIZES, numbers, folder)
    asked = sum(parameter.numel() for parameter in empty_model(config, folder).parameters())
    if asked > numbers:
        raise BaseModelError(
            f"base {folder}: its config.json asks for {asked:,} parameters, and its files hold at most {numbers:,};"
            " copy the folder again"
        )
    return headers


def _check_range(config: Any, names: Iterable[str], most: int, folder: Path, limit: str = "") -> None:  # noqa: ANN401
    limit = limit or f"its {WEIGHTS} holds 1 to"
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and not 1 <= value <= most:
            raise BaseModelError(
                f"base {folder}: its config.json asks for {name} {value:.4g}, and {limit} {most}; copy the folder again"
            )


def _read_headers(folder: Path) -> dict[str, TensorHeader]:
    """Returns the headers of all weight files: of the single file, or else of the files in the index."""
    has_index = kind_of(folder / WEIGHTS) is None and kind_of(folder / INDEX) is not None
    headers: dict[str, TensorHeader] = {}
    for path in _shards(folder) if has_index else [folder / WEIGHTS]:
        try:
            headers |= read_header(path)
        except UnreadableError as error:
            raise _REFUSAL.of(f"base {folder}: {path.name}", error) from error
    return headers


def _shards(folder: Path) -> list[Path]:
    names = sorted(set(read_json(folder / INDEX, _WeightIndex, _REFUSAL).weight_map.values()))
    paths = [folder / name for name in names]
    if bad := [path for path in paths if path.parent != folder or kind_of(path) != "file"]:
        raise _REFUSAL.of(folder / INDEX, f"it names {bad[0].name[:100]}, and there is no such file beside it")
    return paths
