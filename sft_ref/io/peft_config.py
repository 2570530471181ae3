"""Reads the configuration of a submission's adapter as data, without letting peft compute, fetch or import anything."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import AdapterError

from .foreign import foreign_files
from .lora_config import CONFIG, ConfigError, read_config, read_table, risky_patterns
from .reading import UnreadableError

if TYPE_CHECKING:
    from peft import PeftConfig

_LARGEST = 4096
"""The largest size in a configuration, such as a rank; larger ones would fill the memory before a tensor is read."""

_LEFT_OUT = frozenset(
    {"base_model_name_or_path", "revision", "auto_mapping"}  # peft warns if a name is given in addition to a folder
    | {"init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"}
    | {"megatron_config", "megatron_core"}
)
"""Omitted keys about the base and the initialisation; some would start long computations on the base's weights."""

_NO_SIZES = ("alpha", "key", "seed", "token")
"""Parts of the names of numbers that are not sizes."""


def read_peft_config(folder: Path) -> PeftConfig:
    """Returns the configuration in an adapter folder, of any type that peft knows.

    Raises:
        AdapterError: the configuration cannot be read, or has a value that no adapter needs.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

    try:
        table = read_table(folder)
        if table.get("peft_type") == "LORA":
            read_config(table)
    except (UnreadableError, ConfigError) as error:
        raise AdapterError(f"{CONFIG}: {error}") from error
    if risky := risky_patterns(table):
        raise AdapterError(f"{CONFIG}: {', '.join(risky)} with a regular expression that may take forever to match")
    if (size := _largest(table)) > _LARGEST:
        raise AdapterError(f"{CONFIG}: has the size {size}, and no adapter needs one above {_LARGEST}")
    with foreign_files(AdapterError, f"{CONFIG}: peft refuses it"):
        kind: Any = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(table["peft_type"])]
        known = {each.name for each in fields(kind) if each.init} - _LEFT_OUT
        config: PeftConfig = kind(**{key: table[key] for key in known & table.keys()})
    return config


def can_be_read(folder: Path) -> bool:
    """Returns whether `read_peft_config` accepts the configuration of a folder."""
    try:
        return bool(read_peft_config(folder))
    except AdapterError:
        return False


def _largest(value: Any) -> int:  # noqa: ANN401
    """Returns the largest size in a table."""
    if isinstance(value, dict):
        return max(
            (_largest(each) for key, each in value.items() if not any(map(key.__contains__, _NO_SIZES))), default=0
        )
    if isinstance(value, list):
        return max(map(_largest, value), default=0)
    return value if isinstance(value, int) else 0
