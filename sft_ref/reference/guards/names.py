"""Removes the parts that wrappers of torch and peft add to the names of modules and tensors in memory."""

from __future__ import annotations

import re

_RUNTIME = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Name parts that torch.compile, FSDP and activation checkpointing insert at any position."""

_PARALLEL = "module"
"""Name part that DataParallel, DistributedDataParallel and DeepSpeed add at the front."""

_PEFT = re.compile(r"^base_model\.model\.|\.base_layer(?=\.|$)|\.default(?=\.|$)|\.modules_to_save(?=\.|$)")


def unwrapped(name: str) -> str:
    """Removes the parts that wrappers of torch add at run time, which gives the name in the saved file."""
    parts = [part for part in name.split(".") if part not in _RUNTIME]
    while parts[:1] == [_PARALLEL]:
        del parts[0]
    return ".".join(parts)


def without_peft(name: str) -> str:
    """Removes peft's parts only, as for names in a saved file: a loader does not know wrappers of torch."""
    return _PEFT.sub("", name)


def plain(name: str) -> str:
    """Returns the base's name of a module or tensor in memory, without the parts that torch and peft add."""
    return without_peft(unwrapped(name))
