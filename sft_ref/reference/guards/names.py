"""Names of modules and tensors in memory, where wrappers of torch and of peft add to them."""

from __future__ import annotations

import re

_RUNTIME = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What torch.compile, FSDP and activation checkpointing put into a name, at any place."""

_PARALLEL = "module"
"""What DataParallel, DistributedDataParallel and DeepSpeed put before a name."""

_PEFT = re.compile(r"^base_model\.model\.|\.base_layer(?=\.|$)|\.default(?=\.|$)|\.modules_to_save(?=\.|$)")


def unwrapped(name: str) -> str:
    """A name without what wrappers of torch add to it while a model runs, so that it is that of the saved file."""
    parts = [part for part in name.split(".") if part not in _RUNTIME]
    while parts[:1] == [_PARALLEL]:
        del parts[0]
    return ".".join(parts)


def without_peft(name: str) -> str:
    """A name without peft's wrapping. Of a saved file it is all that may go: a loader knows no wrapper of torch."""
    return _PEFT.sub("", name)


def plain(name: str) -> str:
    """The name in the base of a module or tensor in memory, with the wrapping of torch and of peft taken out."""
    return without_peft(unwrapped(name))
