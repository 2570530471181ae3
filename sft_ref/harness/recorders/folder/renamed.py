"""Finds a part that tensor names have in excess or lack: the trace of a wrapper around the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sft_ref.io.tensor_headers import Shape

_WRAPPERS = {
    "_orig_mod": "the prefix `_orig_mod.` of torch.compile: save `model._orig_mod`",
    "module": "the prefix `module.` of DistributedDataParallel or DeepSpeed: save `model.module`",
    "_fsdp_wrapped_module": "the prefix `_fsdp_wrapped_module.` of FSDP: save under `FSDP.state_dict_type`",
    "_forward_module": "the prefix `_forward_module.` of Lightning: save the module that it wraps",
    "_checkpoint_wrapped_module": "the prefix `_checkpoint_wrapped_module.` of activation checkpointing: save without",
    "base_model.model": "the prefix `base_model.model.` twice: save the PeftModel itself, not a model that holds it",
}
"""Name part that a wrapper adds -> its origin, and how to save without it."""

_TORCHTUNE = {
    "attn": "self_attn",
    "output_proj": "o_proj",
    "w1": "gate_proj",
    "w2": "down_proj",
    "w3": "up_proj",
    "output": "lm_head",
    "lora_a": "lora_A",
    "lora_b": "lora_B",
}
"""Name part in torchtune -> name part in peft."""

_LONGEST = 4
"""Maximum number of name parts that wrappers add."""


@dataclass(frozen=True)
class Renaming:
    """A name part that tensors have in excess or lack.

    Attributes:
        names: name in the file -> expected name.
        what: the excess or missing part, and how to save correctly, as a clause.
        example: one of the names in the file.
        is_adapter_name: whether the part is the adapter's in-memory name.
    """

    names: Mapping[str, str]
    what: str
    example: str
    is_adapter_name: bool = False

    @property
    def count(self) -> int:
        """Number of renamed tensors."""
        return len(self.names)

    def undo(self, found: Mapping[str, Shape]) -> dict[str, Shape]:
        """Returns the shapes under the expected names."""
        return {self.names.get(key, key): shape for key, shape in found.items()}


def find_renaming(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> Renaming | None:
    """Returns the renaming that turns the most unexpected names into expected ones, or None."""
    unexpected = [key for key in found if key not in expected]
    ways: dict[str, dict[str, str]] = {}
    for key in unexpected:
        for part, name in _without_a_part(key):
            if name in expected and name not in found and _is_lora(name) == _is_lora(key):
                ways.setdefault(f"+{part}", {})[key] = name
    endings = Counter(ending for name in expected for ending in _endings(name))
    by_ending = {ending: (part, name) for name in expected for part, ending in _heads(name) if endings[ending] == 1}
    for key in unexpected:
        if key in by_ending and by_ending[key][1] not in found:
            part, name = by_ending[key]
            ways.setdefault(f"-{part}", {})[key] = name
    if not ways:
        return _find_torchtune(expected, unexpected)
    way, names = max(ways.items(), key=lambda each: (len(each[1]), -len(each[0])))
    part, is_adapter_name = way[1:], False
    if way[0] == "-":
        what = f"lack the prefix `{part}.` that peft adds: save with the PeftModel's save_pretrained"
    else:
        is_adapter_name = bool(re.search(rf"\.lora_(?:embedding_)?[AB]\.{re.escape(part)}(?:\.|$)", min(names)))
        if is_adapter_name:
            what = f"carry the adapter name `{part}.`: save with save_pretrained, which removes it, not with torch.save"
        else:
            what = "carry " + _WRAPPERS.get(part, f"`{part}.` in their names: save the model without what wraps it")
    return Renaming(names, what, min(names), is_adapter_name)


def _find_torchtune(expected: Mapping[str, Shape], unexpected: Sequence[str]) -> Renaming | None:
    """Finds the names of torchtune's native files, which its checkpointer converts for peft."""
    names = {}
    for key in unexpected:
        own = ".".join(_TORCHTUNE.get(part, part) for part in key.split("."))
        for prefix in ("base_model.model.model.", "base_model.model."):
            if f"{prefix}{own}" in expected:
                names[key] = f"{prefix}{own}"
    what = (
        "carry the names of torchtune: save with its FullModelHFCheckpointer, which converts them for peft and puts"
        " the rows of q_proj and k_proj in order"
    )
    return Renaming(names, what, min(names)) if names else None


def _is_lora(name: str) -> bool:
    return ".lora_" in name


def _without_a_part(key: str) -> Iterator[tuple[str, str]]:
    """Yields each run of name parts without a number, and the name without that run."""
    parts = key.split(".")
    for length in range(1, _LONGEST + 1):
        for at in range(len(parts) - length):
            run = parts[at : at + length]
            if not any(part.isdigit() for part in run):
                yield ".".join(run), ".".join(parts[:at] + parts[at + length :])


def _heads(name: str) -> Iterator[tuple[str, str]]:
    """Yields the first parts of a name and the rest, for each split position."""
    parts = name.split(".")
    for at in range(1, min(_LONGEST, len(parts) - 1) + 1):
        yield ".".join(parts[:at]), ".".join(parts[at:])


def _endings(name: str) -> Iterator[str]:
    for _, ending in _heads(name):
        yield ending
