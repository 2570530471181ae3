"""The folder of a base by its name: shipped with the package, converted once into the cache, or from the hub."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import CONFIG
from sft_ref.io.foreign import foreign_files
from sft_ref.io.reading import kind_of, shortened

DEFAULT_BASE = "smollm2-135m"
TOY = Path(__file__).parents[2] / "toy" / "model"
WIDE_TOY = "toy-wide"
_FETCHED = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]


def find_base(name: str, *, fetch: bool = True) -> Path:
    """The folder of a base: a name (``toy``, ``toy-wide``, ``smollm2-135m``), a folder, or a hub id.

    What a hub id names is fetched, or comes from the hub's cache.

    Args:
        name: of the base.
        fetch: whether it may be fetched; False where the name comes from a stranger.

    Raises:
        BaseModelError: there is no such base, or it cannot be had on this machine.
    """
    if name == "toy":
        return TOY
    if name == WIDE_TOY:
        from .wide_toy import make_wide_toy

        return _in_cache(f"{WIDE_TOY}-{fingerprint_base(TOY)[:8]}", lambda folder: make_wide_toy(TOY, folder))
    if name == DEFAULT_BASE:
        from .smollm2 import convert_smollm2

        return _in_cache("smollm2-135m-q4_1-bf16", convert_smollm2)
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
        hint = f"give it as the base, such as by --base, and it is fetched; or {hint}"
    with foreign_files(BaseModelError, unknown, hint):
        return Path(snapshot_download(name, allow_patterns=_FETCHED, local_files_only=not fetch))


def _in_cache(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache (``$SFT_REF_CACHE``, else the user's own); where it is missing, `make` fills it.

    Raises:
        BaseModelError: the cache cannot be written.
    """
    from platformdirs import user_cache_path

    folder = Path(os.environ.get("SFT_REF_CACHE") or user_cache_path("sft_ref")) / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
    except OSError as error:
        raise BaseModelError(
            f"cannot write {folder.parent} ({error.strerror}); set SFT_REF_CACHE to another"
        ) from error
    try:
        make(scratch)
        scratch.replace(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been first, which is as good
            raise BaseModelError(f"cannot write {folder} ({error}); set SFT_REF_CACHE to another folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


@functools.cache
def fingerprint_base(folder: Path) -> str:
    """SHA-256 over the weight files of a base, as 64 hexadecimal digits (about a second a gigabyte)."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
