"""Reads adapter_config.json as validated data, and decides which keys peft gets and whether the adapter can be judged.

An untrusted configuration is data: nothing in it may make this process compute, import or fetch anything.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sft_ref.errors import AdapterError

from .patterns import is_harmless, is_pattern
from .reading import Finite, UnreadableError, converted, json_of, plain_bytes

if TYPE_CHECKING:
    from peft import LoraConfig


CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
PICKLE = "adapter_model.bin"

MOST_RANK = 2**31 - 1
"""The largest rank that peft and torch accept; tensors of such a rank are built on the meta device only."""

_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Rank = Annotated[int, Meta(ge=1, le=MOST_RANK)]


class ConfigError(Exception):
    """The configuration has a value that peft cannot use; the message names key and value."""


class _LoraTable(msgspec.Struct, kw_only=True):
    """The keys that are passed to peft if the installed version knows them, with the types of their values.

    They define which modules are adapted, how the adapter is trained and what it computes. Null means unset.
    """

    r: _Rank | None = None
    lora_alpha: Finite | None = None
    lora_dropout: Annotated[float, Meta(ge=0, lt=1)] | None = None
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    bias: Literal["none", "all", "lora_only"] | None = None
    use_rslora: bool | None = None
    use_dora: bool | None = None
    fan_in_fan_out: bool | None = None
    lora_bias: bool | None = None
    ensure_weight_tying: bool | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: _Count | list[_Count] | None = None
    layers_pattern: str | list[str] | None = None
    rank_pattern: dict[str, _Rank] | None = None
    alpha_pattern: dict[str, Finite] | None = None
    trainable_token_indices: list[_Count] | dict[str, list[_Count]] | None = None
    target_parameters: list[str] | None = None


_KEYS = frozenset(_LoraTable.__struct_fields__)

_OF_TRAINING = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_type", "task_type", "peft_version", "auto_mapping"}
    | {"init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config"}
    | {"runtime_config", "megatron_core", "qalora_group_size"}
)
"""Keys about the initialisation or training of the adapter that do not change its output."""

_PLAIN_STARTS = frozenset({"gaussian", "eva", "orthogonal", "lora_ga"})
"""Initialisations other than true and false that do not change the base; loading overwrites them."""

_NAMES = ("target_modules", "exclude_modules")
"""Keys whose value is a regular expression or a list of names."""

_TASKS = (None, "CAUSAL_LM")


@dataclass(frozen=True)
class AdapterConfig:
    """A LoRA configuration.

    Attributes:
        base: name of the base; None if there is none.
        rank, alpha: rank and alpha of modules that match no pattern.
        rank_pattern, alpha_pattern: pattern -> rank, pattern -> alpha.
        use_rslora: whether the scaling is alpha / sqrt(rank).
        use_dora: whether each row has a separate magnitude (DoRA).
        options: keys and values that are passed to peft.
        ignored: keys that peft does not know; all are unset if the configuration can be judged.
        changes_base: name of the initialisation that changes the base's weights on loading; empty if there is none.
    """

    base: str | None
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    use_rslora: bool
    use_dora: bool
    options: Mapping[str, Any]
    ignored: tuple[str, ...]
    changes_base: str

    def for_peft(self) -> LoraConfig:
        """Returns the configuration for peft, without anything that peft would compute or look up."""
        from peft import LoraConfig

        options = {**self.options, "init_lora_weights": False, "lora_dropout": 0.0, "inference_mode": True}
        return LoraConfig(**options, task_type="CAUSAL_LM")

    def for_training(self) -> LoraConfig:
        """Returns the configuration of a new adapter of this kind, with peft's default initialisation."""
        from peft import LoraConfig

        return LoraConfig(**self.options, task_type="CAUSAL_LM")


def read_table(folder: Path) -> dict[str, Any]:
    """Returns the configuration file as a dict.

    Raises:
        UnreadableError: the file cannot be read, or is not a JSON object.
    """
    try:
        return json_of(plain_bytes(folder / CONFIG), dict[str, Any])
    except UnreadableError as error:
        raise UnreadableError(f"{CONFIG}: {error}") from error


def base_of(table: Mapping[str, Any]) -> str | None:
    """Returns the name of the base in a configuration; None if there is none."""
    name = table.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def why_not_judged(table: Mapping[str, Any]) -> str:
    """Returns why a configuration is not a LoRA that can be judged here; empty if it is."""
    from peft import LoraConfig

    kind, task = table.get("peft_type"), table.get("task_type")
    if kind is None:
        return ""  # peft cannot read it, which a check reports as a fault
    if kind != "LORA":
        return f"peft type {_brief(kind)}"
    if task not in _TASKS:
        return f"task type {_brief(task)}"
    known = {each.name for each in fields(LoraConfig)} & _KEYS
    unknown = sorted(key for key in table.keys() - known - _OF_TRAINING if _is_set(table[key]))
    if unknown:
        return f"{', '.join(key[:80] for key in unknown[:5])} in the configuration"
    risky = risky_patterns(table)
    return f"{', '.join(risky)} with a regular expression that may take forever to match" if risky else ""


def risky_patterns(table: Mapping[str, Any]) -> list[str]:
    """Returns the keys whose regular expression may take exponential time to match."""
    return sorted({key for key, pattern in _patterns(table) if not is_harmless(pattern)})


def read_config(table: Mapping[str, Any]) -> AdapterConfig:
    """Reads a LoRA configuration.

    Raises:
        ConfigError: peft cannot use a value.
    """
    from peft import LoraConfig

    if table.get("peft_type") is None:
        raise ConfigError("no peft_type")
    known = {each.name for each in fields(LoraConfig)}
    given = {key: table[key] for key in _KEYS if key in known and table.get(key) is not None}
    try:
        converted(given, _LoraTable)
    except UnreadableError as error:
        reason, _, place = str(error).partition(" at `$.")
        key = place.rstrip("`").partition("[")[0].partition(".")[0]
        raise ConfigError(f"{key} is {reprlib.repr(given[key])}: {reason}" if key else reason) from error
    for key, pattern in _patterns(given):
        is_name = key in _NAMES and isinstance(given[key], list)
        if not is_name and not is_pattern(pattern):
            raise ConfigError(f"{key} has {reprlib.repr(pattern)}, which is not a regular expression")
    if not any(given.get(key) for key in ("target_modules", "target_parameters", "trainable_token_indices")):
        raise ConfigError("no target_modules, and no target_parameters")
    start = table.get("init_lora_weights", True)
    return AdapterConfig(
        base=base_of(table),
        rank=given.get("r", 8),
        alpha=float(given.get("lora_alpha", 8)),
        rank_pattern=given.get("rank_pattern", {}),
        alpha_pattern=given.get("alpha_pattern", {}),
        use_rslora=given.get("use_rslora", False),
        use_dora=given.get("use_dora", False),
        options=given,
        ignored=tuple(sorted(table.keys() - known - _OF_TRAINING)),
        changes_base="" if isinstance(start, bool | None) or str(start) in _PLAIN_STARTS else _brief(start),
    )


def read_lora(folder: Path) -> AdapterConfig:
    """Returns the LoRA configuration of an adapter folder.

    Raises:
        AdapterError: the configuration cannot be read, or is not a LoRA of a causal language model that peft can use.
    """
    try:
        table = read_table(folder)
        reason = why_not_judged(table)
        config = None if reason else read_config(table)
    except (UnreadableError, ConfigError) as error:
        raise AdapterError(f"{folder}: {CONFIG} cannot be used ({error}); copy the folder again") from error
    if config is None:
        raise AdapterError(f"{folder}: {CONFIG} has {reason}; give a LoRA adapter of a causal language model")
    return config


def _brief(value: object) -> str:
    """Formats a value for an error message; text has no quotes."""
    return value[:80] if isinstance(value, str) else reprlib.repr(value)


def _is_set(value: object) -> bool:
    """Returns whether an unknown key is set: false, 0, null and empty values are not."""
    return bool(value)


def _patterns(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns all regular expressions of a configuration, as pairs of key and pattern."""
    found: list[tuple[str, str]] = []
    for key in (*_NAMES, "layers_pattern"):
        value = table.get(key)
        several = value if isinstance(value, list) else [value]
        found += [(key, each) for each in several if isinstance(each, str)]
    for key in ("rank_pattern", "alpha_pattern"):
        value = table.get(key)
        found += [(key, each) for each in value] if isinstance(value, dict) else []
    return found
