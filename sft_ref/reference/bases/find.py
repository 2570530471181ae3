"""Finds the folder of a base: shipped with the package, converted once into the cache, or from the hub."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import CONFIG
from sft_ref.io.foreign import foreign_files
from sft_ref.io.reading import kind_of, shortened

from .cache import in_cache

DEFAULT_BASE = "smollm2-135m"
TOY = Path(__file__).parents[2] / "toy" / "model"
WIDE_TOY = "toy-wide"
_FETCHED = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]


def find_base(name: str, *, fetch: bool = True) -> Path:
    """Returns the folder of a base, given a name (``toy``, ``toy-wide``, ``smollm2-135m``), a folder, or a hub id.

    The model of a hub id is downloaded, or taken from the hub's cache.

    Args:
        name: name of the base.
        fetch: whether the base may be downloaded; use False if the name is untrusted.

    Raises:
        BaseModelError: there is no such base, or it is not available on this machine.
    """
    if name == "toy":
        return TOY
    if name == WIDE_TOY:
        from .wide_toy import make_wide_toy

        return in_cache(f"{WIDE_TOY}-{fingerprint_base(TOY)[:8]}", lambda folder: make_wide_toy(TOY, folder))
    if name == DEFAULT_BASE:
        from .smollm2 import convert_smollm2

        return in_cache("smollm2-135m-q4_1-bf16", convert_smollm2)
    if kind_of(Path(name) / CONFIG) == "file":
        return Path(name)
    if kind_of(name) is not None:
        raise BaseModelError(f"base {name!r} holds no config.json; give the folder of a model")
    return _from_hub(name, fetch=fetch)


def _from_hub(name: str, *, fetch: bool) -> Path:
    from huggingface_hub import snapshot_download

    hint = f"give toy, {DEFAULT_BASE}, a folder that holds a model, or a hub id that can be fetched or is cached"
    unknown = f"unknown base {shortened(repr(name))}"
    if name.count("/") != 1:
        raise BaseModelError(f"{unknown}; {hint}")
    if not fetch:
        hint = f"name it yourself, such as by --base, to have it downloaded; or {hint}"
    with foreign_files(BaseModelError, unknown, hint):
        return Path(snapshot_download(name, allow_patterns=_FETCHED, local_files_only=not fetch))


@functools.cache
def fingerprint_base(folder: Path) -> str:
    """Returns the SHA-256 of a base's weight files, as 64 hexadecimal digits (about one second per gigabyte)."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
