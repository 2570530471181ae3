"""Names of modules and tensors, as peft wraps them."""

from __future__ import annotations

import re

_WRAPPING = re.compile(r"^base_model\.model\.|\.base_layer(?=\.|$)|\.default(?=\.|$)|\.modules_to_save(?=\.|$)")


def plain(name: str) -> str:
    """A module's or tensor's name in the base, with peft's wrapping taken out."""
    return _WRAPPING.sub("", name)
