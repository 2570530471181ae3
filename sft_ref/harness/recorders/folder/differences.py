"""Names the pattern by which a file's tensors differ from those that its configuration gives: names and shapes only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from sft_ref.harness.evidence.adapter import ExpectedTensors, KeyDifference
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import Shape

from .renamed import Renaming, find_renaming

_LAYER = re.compile(r"\.(?:layers|h|blocks|layer)\.(\d+)\.")
_LORA = re.compile(r"\.lora_(?:embedding_)?(A|B)(?:\.weight)?$")
_SIDE = re.compile(r"\.lora_(embedding_)?(A|B)(?=\.|$)")
_MAGNITUDE = ".lora_magnitude_vector"
_PEFT = re.compile(r"\.(?:lora_|token_adapter\.)")
_PREFIX = "base_model.model."


def find_differences(
    expected: ExpectedTensors, found: Mapping[str, Shape], config: AdapterConfig
) -> tuple[KeyDifference, ...]:
    """All patterns, each tensor under one of them."""
    renaming = find_renaming({**expected.required, **expected.optional}, found)
    compared = _Compared(expected, dict(found), config)
    patterns = []
    if renaming:
        patterns.append(_renamed(renaming, len(found)))
        compared = _Compared(expected, renaming.undo(found), config)
    return (*patterns, *compared.patterns())


def _renamed(renaming: Renaming, of: int) -> KeyDifference:
    observed = f"{renaming.count} of {of} keys {renaming.what}"
    name = "adapter name" if renaming.is_adapter_name else "names"
    return KeyDifference(name, observed, "the names that peft gives", renaming.example)


class _Compared:
    """Tensors that are expected and found; each method takes what it explains away."""

    def __init__(self, expected: ExpectedTensors, found: dict[str, Shape], config: AdapterConfig) -> None:
        self.expected, self.config, self.found = expected, config, found
        due = {**expected.required, **expected.optional}
        self.missing = [key for key in expected.required if key not in found]
        self.unexpected = [key for key in found if key not in due]
        self.unlike = {key: (found[key], due[key]) for key in found if key in due and found[key] != due[key]}

    def patterns(self) -> Iterator[KeyDifference]:
        """In the order in which they explain each other."""
        yield from self._empty()
        yield from self._magnitudes()
        yield from self._strangers()
        yield from self._pairs()
        yield from self._layers()
        yield from self._types()
        yield from self._whole()
        yield from self._shapes()
        yield from self._rest()

    def _take(self, *, missing: Collection[str] = (), unexpected: Collection[str] = ()) -> None:
        self.missing = [key for key in self.missing if key not in set(missing)]
        self.unexpected = [key for key in self.unexpected if key not in set(unexpected)]

    def _empty(self) -> Iterator[KeyDifference]:
        """Tensors without numbers, or pairs that are flat: what is left of a parameter that lies on other processes."""
        empty = [
            key
            for key, shape in self.found.items()
            if 0 in shape or (_LORA.search(key) and len(shape) < 2)  # noqa: PLR2004  # a matrix has two
        ]
        if empty:
            shapes = sorted({self.found[key] for key in empty})[:3]
            observed = (
                f"{len(empty)} of {len(self.found)} tensors have shape {', '.join(map(_shape, shapes))}:"
                " saved from a ZeRO-3 or FSDP partition"
            )
            yield KeyDifference("partition", observed, "whole matrices", empty[0])
            self.unlike = {key: pair for key, pair in self.unlike.items() if key not in set(empty)}

    def _magnitudes(self) -> Iterator[KeyDifference]:
        due = [key for key in self.expected.required if _MAGNITUDE in key]
        lacking = [key for key in self.missing if _MAGNITUDE in key]
        extra = [key for key in self.unexpected if _MAGNITUDE in key]
        if lacking and len(lacking) == len(due):
            observed = f"the configuration says use_dora, the file has no magnitude vectors (0 of {len(due)})"
            yield KeyDifference("dora", observed, f"{len(due)} magnitude vectors", lacking[0])
            self._take(missing=lacking)
        elif extra and not self.config.use_dora:
            observed = f"the file has {len(extra)} magnitude vectors of DoRA, the configuration says use_dora: false"
            yield KeyDifference("dora", observed, "use_dora: true", extra[0])
            self._take(unexpected=extra)

    def _strangers(self) -> Iterator[KeyDifference]:
        """Tensors of modules that the base does not have."""
        places = {key: _module(key) for key in self.unexpected}
        foreign = [key for key, module in places.items() if not self._is_in_base(module)]
        if not foreign:
            return
        layers = {_layer(key) for key in foreign} - {None}
        own = {_layer(f".{name}.") for name in self.expected.modules} - {None}
        alike = {_without_layer(key) for key in self.expected.required}
        if layers and own and all(_without_layer(key) in alike for key in foreign):
            most, has = max(n for n in layers if n is not None) + 1, max(n for n in own if n is not None) + 1
            observed = f"the file has tensors of {most} layers, the base has {has}"
        elif 2 * len(foreign) < len(self.found):
            return  # a few that nobody knows say nothing of the base
        else:
            observed = f"{len(foreign)} of {len(self.found)} tensors are of modules that the base does not have"
        yield KeyDifference("base", observed, "tensors of the base's own modules", foreign[0])
        if len(foreign) == len(self.found):  # then all that is expected is missing for the same reason
            self.missing = []
        self._take(unexpected=foreign)

    def _pairs(self) -> Iterator[KeyDifference]:
        lone = [key for key in self.missing if _LORA.search(key) and _partner(key) in self.found]
        if lone:
            lacking = Counter(f"lora_{match.group(1)}" for key in lone if (match := _LORA.search(key)))
            due = sum(bool(_LORA.search(key)) for key in self.expected.required) // 2
            parts = " and ".join(f"{number} of {due} {name}" for name, number in sorted(lacking.items()))
            yield KeyDifference("pairs", f"{parts} are missing, their partners are there", "A and B in pairs", lone[0])
            self._take(missing=lone)

    def _layers(self) -> Iterator[KeyDifference]:
        for keys, unexpected in ((self.missing, False), (self.unexpected, True)):
            other = self.expected.required if unexpected else self.found
            whole = self.found if unexpected else self.expected.required
            there = {_layer(key) for key in other}
            layers = sorted({layer for key in keys if (layer := _layer(key)) is not None and layer not in there})
            gone = [key for key in keys if _layer(key) in set(layers)]
            if not gone or not there - {None}:
                continue
            if unexpected:
                observed = f"the file has {_numbers(layers)}, which layers_to_transform leaves out ({len(gone)} keys)"
                yield KeyDifference("targets", observed, "a configuration that names every layer of the file", gone[0])
                self._take(unexpected=gone)
            else:
                observed = (
                    f"every key of {_numbers(layers)} is missing ({len(gone)} of {len(whole)}):"
                    " saved from a partial gather"
                )
                yield KeyDifference("layers", observed, "tensors of every layer", gone[0])
                self._take(missing=gone)

    def _types(self) -> Iterator[KeyDifference]:
        due, there = (
            {_type(key) for key in keys if _PEFT.search(key)} for keys in (self.expected.required, self.found)
        )
        extra = [key for key in self.unexpected if _PEFT.search(key) and _type(key) not in due]
        lacking = [key for key in self.missing if _PEFT.search(key) and _type(key) not in there]
        if extra:
            observed = f"target_modules lists {len(due & there)} of the {len(there)} module types that the file has"
            observed += f" (not {_names({_type(key) for key in extra})})"
            yield KeyDifference("targets", observed, "every module type of the file", extra[0])
        if lacking:
            observed = f"the file has {len(due & there)} of the {len(due)} module types that target_modules lists"
            observed += f" (not {_names({_type(key) for key in lacking})})"
            yield KeyDifference("targets", observed, "every module type of the configuration", lacking[0])
        self._take(missing=lacking, unexpected=extra)

    def _whole(self) -> Iterator[KeyDifference]:
        """Tensors that are trained whole, biases and modules_to_save; those beyond, peft loads into the base."""
        lacking = [key for key in self.missing if not _PEFT.search(key)]
        biases = [key for key in lacking if key.endswith(".bias") and not self._is_saved(key)]
        others = [key for key in lacking if key not in biases]
        if biases:
            bias = self.config.options.get("bias", "none")
            observed = f"the configuration says bias: {bias}, the file lacks {len(biases)} biases"
            yield KeyDifference("whole", observed, "biases as the configuration says", biases[0])
        if others:
            names = _names({_module(key).rpartition(".")[2] for key in others})
            yield KeyDifference(
                "whole", f"modules_to_save names {names}, the file has no tensor of it", names, others[0]
            )
        self._take(missing=lacking)

    def _is_saved(self, key: str) -> bool:
        parts = _module(key).split(".")
        return any(name.rpartition(".")[2] in parts for name in self.config.options.get("modules_to_save", ()))

    def _shapes(self) -> Iterator[KeyDifference]:
        ranks = {
            key: pair
            for key, pair in self.unlike.items()
            if (match := _LORA.search(key)) and _but_rank(match.group(1), pair[0]) == _but_rank(match.group(1), pair[1])
        }
        if ranks:
            key = min(ranks)  # lora_A comes before lora_B
            side = 0 if "A" in key.rpartition(".lora_")[2] else 1
            observed = (
                f"{len(ranks)} of {len(self.found)} tensors have another rank than the configuration gives"
                f" ({ranks[key][0][side]}, not {ranks[key][1][side]})"
            )
            yield KeyDifference("rank", observed, f"rank {ranks[key][1][side]}", key)
        others = {key: pair for key, pair in self.unlike.items() if key not in ranks}
        if others:
            key = min(others)
            observed = (
                f"{len(others)} of {len(self.found)} tensors have shapes of another base"
                f" ({_shape(others[key][0])}, not {_shape(others[key][1])})"
            )
            yield KeyDifference("base", observed, f"shape {_shape(others[key][1])}", key)

    def _rest(self) -> Iterator[KeyDifference]:
        for keys, what in ((self.missing, "are missing"), (self.unexpected, "have no place in the adapter")):
            if keys:
                of = len(self.expected.required if keys is self.missing else self.found)
                yield KeyDifference(
                    "keys", f"{len(keys)} of {of} tensors {what}", "the tensors that peft saves", keys[0]
                )

    def _is_in_base(self, module: str) -> bool:
        parts = module.split(".")
        inner = ".".join(part for part in parts if part != "base_layer")
        return inner in self.expected.modules or any(name.startswith(f"{inner}.") for name in self.expected.modules)


def _module(key: str) -> str:
    """The module of the base that a tensor belongs to."""
    name = key.removeprefix(_PREFIX)
    match = _PEFT.search(name)
    return name[: match.start()] if match else name.rpartition(".")[0]


def _type(key: str) -> str:
    """The last part of a module's name, such as q_proj, with the wrapping that tells parameters of experts apart."""
    module = _module(key)
    inner = module.removesuffix(".base_layer")
    return inner.rpartition(".")[2] + module[len(inner) :]


def _layer(key: str) -> int | None:
    match = _LAYER.search(key)
    return int(match.group(1)) if match else None


def _without_layer(key: str) -> str:
    return _LAYER.sub(".", key)


def _partner(key: str) -> str:
    """The other tensor of a pair."""
    return _SIDE.sub(lambda match: f".lora_{match[1] or ''}{'B' if match[2] == 'A' else 'A'}", key)


def _but_rank(side: str, shape: Shape) -> Shape:
    """A shape without its rank: the first size of A, the second of B."""
    return shape[1:] if side == "A" else shape[:1] + shape[2:]


def _numbers(layers: Iterable[int]) -> str:
    found = list(layers)
    if len(found) > 4:  # noqa: PLR2004  # more are not read
        return f"layers {found[0]} to {found[-1]} ({len(found)} of them)"
    return f"layer{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _names(names: Collection[str]) -> str:
    few = sorted(names)[:5]
    return ", ".join(few) + (f" and {len(names) - len(few)} more" if len(names) > len(few) else "")


def _shape(shape: Shape) -> str:
    return str(list(shape))
