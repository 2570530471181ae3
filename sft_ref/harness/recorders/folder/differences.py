"""Names the patterns by which an adapter's tensors differ from the expected ones, using only names and shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from sft_ref.harness.evidence.adapter import ExpectedTensors, KeyDifference
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import Shape

from .renamed import find_renaming

_LAYER = re.compile(r"\.(?:layers|h|blocks|layer)\.(\d+)\.")
_LORA = re.compile(r"\.lora_(?:embedding_)?(A|B)(?:\.weight)?$")
_SIDE = re.compile(r"\.lora_(embedding_)?(A|B)(?=\.|$)")
_MAGNITUDE = ".lora_magnitude_vector"
_PEFT = re.compile(r"\.(?:lora_|token_adapter\.)")
_PREFIX = "base_model.model."


def find_differences(
    expected: ExpectedTensors, found: Mapping[str, Shape], config: AdapterConfig
) -> tuple[KeyDifference, ...]:
    """Returns all patterns; each tensor is explained by one of them."""
    renaming = find_renaming({**expected.required, **expected.optional}, found)
    if renaming is None:
        return tuple(_Comparison(expected, dict(found), config).patterns)
    renamed = KeyDifference(
        "adapter name" if renaming.is_adapter_name else "names",
        f"{renaming.count} of {len(found)} keys {renaming.what}",
        "the names that peft uses",
        renaming.example,
    )
    return (renamed, *_Comparison(expected, renaming.undo(found), config).patterns)


class _Comparison:
    """Compares expected and found tensors; each pattern removes the keys that it explains from later patterns.

    Attributes:
        patterns: patterns found so far.
        missing: expected keys that the file lacks and no pattern explains so far.
        unexpected: keys of the file that are not expected and no pattern explains so far.
        unlike: key -> (shape in the file, expected shape), where the two differ.
        parents: modules of the base model and all their parents.
    """

    def __init__(self, expected: ExpectedTensors, found: dict[str, Shape], config: AdapterConfig) -> None:
        self.expected, self.config, self.found = expected, config, found
        due = {**expected.required, **expected.optional}
        self.parents = {
            ".".join(parts[:at])
            for name in expected.modules
            if (parts := name.split("."))
            for at in range(1, len(parts) + 1)
        }
        self.missing = [key for key in expected.required if key not in found]
        self.unexpected = [key for key in found if key not in due]
        self.unlike = {key: (found[key], due[key]) for key in found if key in due and found[key] != due[key]}
        self.patterns: list[KeyDifference] = []
        self._find_partitions()
        self._find_magnitudes()
        self._find_other_bases()
        self._find_lone_matrices()
        self._find_missing_layers()
        self._find_extra_layers()
        self._find_module_types()
        self._find_whole_modules()
        self._find_shapes()
        self._find_rest()

    def _add(self, pattern: str, observed: str, expected: str, explained: Sequence[str]) -> None:
        """Adds a pattern, and removes the missing or unexpected keys that it explains; the first is its example."""
        self.patterns.append(KeyDifference(pattern, observed, expected, explained[0]))
        done = set(explained)
        self.missing = [key for key in self.missing if key not in done]
        self.unexpected = [key for key in self.unexpected if key not in done]

    def _find_partitions(self) -> None:
        """Finds tensors without numbers and flat matrices: parameters whose values were held by other processes."""
        empty = [
            key
            for key, shape in self.found.items()
            if 0 in shape or (_LORA.search(key) and len(shape) < 2)  # noqa: PLR2004  # a matrix has two
        ]
        if empty:
            shapes = ", ".join(str(list(shape)) for shape in sorted({self.found[key] for key in empty})[:3])
            observed = f"{self._count(empty)} tensors have shape {shapes}, as those of a ZeRO-3 or FSDP partition"
            self.patterns.append(KeyDifference("partition", observed, "whole matrices", empty[0]))
            for key in empty:
                self.unlike.pop(key, None)

    def _find_magnitudes(self) -> None:
        due = [key for key in self.expected.required if _MAGNITUDE in key]
        lacking = [key for key in self.missing if _MAGNITUDE in key]
        extra = [key for key in self.unexpected if _MAGNITUDE in key]
        if lacking and len(lacking) == len(due):
            observed = f"the configuration sets use_dora, but the file has no magnitude vectors (0 of {len(due)})"
            self._add("dora", observed, f"{len(due)} magnitude vectors", lacking)
        elif extra and not self.config.use_dora:
            observed = (
                f"the file has {len(extra)} magnitude vectors of DoRA, but the configuration sets use_dora to false"
            )
            self._add("dora", observed, "use_dora: true", extra)

    def _find_other_bases(self) -> None:
        """Finds tensors of modules that the base model does not have."""
        foreign = [key for key in self.unexpected if not self._is_in_base(_module(key))]
        if not foreign:
            return
        layers = [layer for key in foreign if (layer := _layer(key)) is not None]
        own = [layer for name in self.expected.modules if (layer := _layer(f".{name}.")) is not None]
        alike = {_without_layer(key) for key in self.expected.required}
        if layers and own and all(_without_layer(key) in alike for key in foreign):
            observed = f"the file has tensors of {max(layers) + 1} layers, but the base has {max(own) + 1}"
        elif 2 * len(foreign) < len(self.found):
            return  # a few unknown tensors are no evidence of another base
        else:
            observed = f"{self._count(foreign)} tensors are of modules that the base does not have"
        if len(foreign) == len(self.found):  # all expected tensors are missing for the same reason
            self.missing = []
        self._add("base", observed, "tensors of the base's own modules", foreign)

    def _find_lone_matrices(self) -> None:
        lone = [key for key in self.missing if _LORA.search(key) and _partner(key) in self.found]
        if lone:
            lacking = Counter(f"lora_{match.group(1)}" for key in lone if (match := _LORA.search(key)))
            due = sum(bool(_LORA.search(key)) for key in self.expected.required) // 2
            parts = " and ".join(f"{number} of {due} {name}" for name, number in sorted(lacking.items()))
            self._add("pairs", f"{parts} are missing, but their partners are there", "A and B in pairs", lone)

    def _find_missing_layers(self) -> None:
        layers, keys = _keys_of_other_layers(self.missing, self.found)
        if keys:
            observed = f"every key of {layers} is missing ({len(keys)} of {len(self.expected.required)})"
            self._add("layers", f"{observed}, as after a partial gather", "tensors of every layer", keys)

    def _find_extra_layers(self) -> None:
        layers, keys = _keys_of_other_layers(self.unexpected, self.expected.required)
        if keys:
            observed = f"the file has {layers}, which layers_to_transform leaves out ({len(keys)} keys)"
            self._add("targets", observed, "a configuration that names every layer of the file", keys)

    def _find_module_types(self) -> None:
        due, there = (
            {_type(key) for key in keys if _PEFT.search(key)} for keys in (self.expected.required, self.found)
        )
        extra = [key for key in self.unexpected if _PEFT.search(key) and _type(key) not in due]
        lacking = [key for key in self.missing if _PEFT.search(key) and _type(key) not in there]
        both = len(due & there)
        if extra:
            observed = f"target_modules lists {both} of the {len(there)} module types that the file has"
            self._add("targets", f"{observed} (not {_types(extra)})", "every module type of the file", extra)
        if lacking:
            observed = f"the file has {both} of the {len(due)} module types that target_modules lists"
            self._add(
                "targets", f"{observed} (not {_types(lacking)})", "every module type of the configuration", lacking
            )

    def _find_whole_modules(self) -> None:
        """Finds missing biases and modules_to_save, trained in full; peft loads unexpected ones into the base."""
        lacking = [key for key in self.missing if not _PEFT.search(key)]
        biases = [key for key in lacking if key.endswith(".bias") and not self._is_saved(key)]
        others = sorted(set(lacking) - set(biases))
        if biases:
            observed = f"the configuration sets bias to {self.config.options.get('bias', 'none')!r}, but the file lacks"
            self._add("whole", f"{observed} {len(biases)} biases", "biases as the configuration has it", biases)
        if others:
            names = _names({_module(key).rpartition(".")[2] for key in others})
            self._add("whole", f"modules_to_save names {names}, but the file has no tensor of it", names, others)

    def _find_shapes(self) -> None:
        """Finds other shapes: a difference along the rank means another rank, any other difference another base."""
        ranks = [key for key, (found, due) in self.unlike.items() if _but_rank(key, found) == _but_rank(key, due)]
        others = sorted(self.unlike.keys() - set(ranks))
        if ranks:
            key = min(ranks)  # lora_A comes before lora_B
            side = 0 if "A" in key.rpartition(".lora_")[2] else 1
            rank, due = (shape[side] for shape in self.unlike[key])
            observed = f"{self._count(ranks)} tensors have a different rank from that of the configuration"
            self.patterns.append(KeyDifference("rank", f"{observed} ({rank}, not {due})", f"rank {due}", key))
        if others:
            key = min(others)
            shape, expected = map(list, self.unlike[key])
            observed = f"{self._count(others)} tensors have shapes of another base ({shape}, not {expected})"
            self.patterns.append(KeyDifference("base", observed, f"shape {expected}", key))

    def _find_rest(self) -> None:
        expected = "the tensors that peft saves"
        if keys := self.missing:
            self._add("keys", f"{len(keys)} of {len(self.expected.required)} tensors are missing", expected, keys)
        if keys := self.unexpected:
            self._add("keys", f"{self._count(keys)} tensors belong to no module of the adapter", expected, keys)

    def _count(self, keys: Sequence[str]) -> str:
        return f"{len(keys)} of {len(self.found)}"

    def _is_saved(self, key: str) -> bool:
        parts = _module(key).split(".")
        return any(name.rpartition(".")[2] in parts for name in self.config.options.get("modules_to_save", ()))

    def _is_in_base(self, module: str) -> bool:
        inner = ".".join(part for part in module.split(".") if part != "base_layer")
        return inner in self.parents


def _keys_of_other_layers(keys: Sequence[str], others: Collection[str]) -> tuple[str, list[str]]:
    """Returns the layers that only `keys` has, as text, and their keys; empty if `others` has no layers."""
    there = {_layer(key) for key in others}
    layers = sorted({layer for key in keys if (layer := _layer(key)) is not None and layer not in there})
    if not layers or not there - {None}:
        return "", []
    text = f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"
    if len(layers) > 4:  # noqa: PLR2004  # more are not read
        text = f"layers {layers[0]} to {layers[-1]} ({len(layers)} of them)"
    return text, [key for key in keys if _layer(key) in layers]


def _module(key: str) -> str:
    """Returns the base model's module that a tensor belongs to."""
    name = key.removeprefix(_PREFIX)
    match = _PEFT.search(name)
    return name[: match.start()] if match else name.rpartition(".")[0]


def _type(key: str) -> str:
    """Returns a module's last name part, such as q_proj, with the wrapping that distinguishes expert parameters."""
    module = _module(key)
    inner = module.removesuffix(".base_layer")
    return inner.rpartition(".")[2] + module[len(inner) :]


def _layer(key: str) -> int | None:
    match = _LAYER.search(key)
    return int(match.group(1)) if match else None


def _without_layer(key: str) -> str:
    return _LAYER.sub(".", key)


def _partner(key: str) -> str:
    """Returns the name of the other tensor of a pair."""
    return _SIDE.sub(lambda match: f".lora_{match[1] or ''}{'B' if match[2] == 'A' else 'A'}", key)


def _but_rank(key: str, shape: Shape) -> Shape:
    """Returns a low-rank matrix's shape without its rank, the first size of A or second of B; other shapes as is."""
    match = _LORA.search(key)
    if not match:
        return shape
    return shape[1:] if match.group(1) == "A" else shape[:1] + shape[2:]


def _types(keys: Sequence[str]) -> str:
    return _names({_type(key) for key in keys})


def _names(names: Collection[str]) -> str:
    few = sorted(names)[:5]
    return ", ".join(few) + (f" and {len(names) - len(few)} more" if len(names) > len(few) else "")
