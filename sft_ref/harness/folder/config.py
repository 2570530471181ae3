"""adapter_config.json as validated data: what it says, what of it is given to peft, and what of it cannot be judged.

A foreign configuration is data: nothing in it may make this process compute, import or fetch anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.adapter import CONFIG

from .files import read_json
from .patterns import is_harmless

if TYPE_CHECKING:
    from peft import LoraConfig


class ConfigError(Exception):
    """The configuration holds a value that peft cannot use; the message names key and value."""


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_rank(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_table(test: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "r": (_is_rank, "a whole number above 0"),
    "lora_alpha": (_is_number, "a finite number"),
    "target_modules": (lambda value: isinstance(value, str) or _is_names(value), "a pattern or a list of names"),
    "exclude_modules": (lambda value: isinstance(value, str) or _is_names(value), "a pattern or a list of names"),
    "bias": (lambda value: value in ("none", "all", "lora_only"), "none, all or lora_only"),
    "use_rslora": (_is_flag, "true or false"),
    "use_dora": (_is_flag, "true or false"),
    "fan_in_fan_out": (_is_flag, "true or false"),
    "lora_bias": (_is_flag, "true or false"),
    "ensure_weight_tying": (_is_flag, "true or false"),
    "modules_to_save": (_is_names, "a list of names"),
    "layers_to_transform": (lambda value: _is_count(value) or _is_counts(value), "a number or a list of numbers"),
    "layers_pattern": (lambda value: isinstance(value, str) or _is_names(value), "a pattern or a list of them"),
    "rank_pattern": (_is_table(_is_rank), "a table of whole numbers above 0"),
    "alpha_pattern": (_is_table(_is_number), "a table of numbers"),
    "trainable_token_indices": (
        lambda value: _is_counts(value) or _is_table(_is_counts)(value),
        "a list of token ids, or a table of such lists",
    ),
    "target_parameters": (_is_names, "a list of names"),
}
"""Key -> what its value must be; these keys say where the adapter stands and what it adds, and are given to peft."""

_OF_TRAINING = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_type", "task_type", "peft_version", "auto_mapping"}
    | {"lora_dropout", "init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config"}
    | {"runtime_config", "megatron_core", "qalora_group_size"}
)
"""Keys that say how the adapter began or was trained, and change nothing in what it adds."""

_PLAIN_STARTS = frozenset({"gaussian", "eva", "orthogonal", "lora_ga"})
"""Initialisations besides true and false that leave the base's weights alone; peft overwrites them on loading."""

_TASKS = (None, "CAUSAL_LM")


@dataclass(frozen=True)
class AdapterConfig:
    """A LoRA configuration.

    Attributes:
        base: name of the base; None where it names none.
        rank, alpha: of modules that no pattern names.
        rank_pattern, alpha_pattern: pattern -> rank, alpha.
        use_rslora: whether the scaling is alpha over the root of the rank.
        use_dora: whether rows have a magnitude of their own.
        options: what is given to peft.
        ignored: keys that are not known and not set.
        changes_base: the initialisation that changes the base's weights on loading; empty where it does not.
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
        """The configuration as peft takes it, without anything that peft would compute or look up."""
        from peft import LoraConfig

        options = {**self.options, "init_lora_weights": False, "lora_dropout": 0.0, "inference_mode": True}
        return LoraConfig(**options, task_type="CAUSAL_LM")


def read_table(folder: Path) -> dict[str, Any]:
    """The configuration as it is written.

    Raises:
        DamagedError: it is no JSON object.
    """
    return read_json(folder / CONFIG)


def base_of(table: Mapping[str, Any]) -> str | None:
    """The base that a configuration names."""
    name = table.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def why_not_judged(table: Mapping[str, Any]) -> str:
    """What makes it another thing than the LoRA that is understood here; empty where nothing does."""
    from peft import LoraConfig

    kind, task = table.get("peft_type"), table.get("task_type")
    if kind is None:
        return ""  # peft cannot read it either, which is a fault
    if kind != "LORA":
        return f"peft type {str(kind)[:80]}"
    if task not in _TASKS:
        return f"task type {str(task)[:80]}"
    known = {each.name for each in fields(LoraConfig)} & _RULES.keys()
    unknown = sorted(key for key in table.keys() - known - _OF_TRAINING if _is_set(table[key]))
    if unknown:
        return f"{', '.join(key[:80] for key in unknown[:5])} in the configuration"
    risky = sorted({key for key, pattern in _patterns(table) if not is_harmless(pattern)})
    return f"{', '.join(risky)} with a pattern that may take for ever to match" if risky else ""


def read_config(table: Mapping[str, Any]) -> AdapterConfig:
    """A LoRA configuration that is to be judged.

    Raises:
        ConfigError: a value is none that peft can use.
    """
    from peft import LoraConfig

    if table.get("peft_type") is None:
        raise ConfigError("no peft_type")
    known = {each.name for each in fields(LoraConfig)}
    given = {key: table[key] for key in _RULES if key in known and table.get(key) is not None}
    for key, value in given.items():
        test, due = _RULES[key]
        if not test(value):
            raise ConfigError(f"{key} is {str(value)[:80]!r}, not {due}")
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
        changes_base="" if isinstance(start, bool | None) or str(start) in _PLAIN_STARTS else str(start)[:80],
    )


def _is_set(value: object) -> bool:
    """Whether a key that is not known says anything: false, 0, null and what is empty do not."""
    return bool(value)


def _patterns(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All regular expressions of a configuration, by their keys."""
    found: list[tuple[str, str]] = []
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        value = table.get(key)
        several = value if isinstance(value, list) else [value]
        found += [(key, each) for each in several if isinstance(each, str)]
    for key in ("rank_pattern", "alpha_pattern"):
        value = table.get(key)
        found += [(key, each) for each in value] if isinstance(value, dict) else []
    return found
