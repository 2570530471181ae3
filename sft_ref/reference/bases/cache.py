"""The cache of this machine: each of its folders is created once, completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sft_ref.errors import BaseModelError


def in_cache(name: str, make: Callable[[Path], None]) -> Path:
    """Returns a folder of the cache (``$SFT_REF_CACHE``, else the user's cache); if it is missing, `make` fills it.

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
            f"cannot write {folder.parent} ({error.strerror}); set SFT_REF_CACHE to another folder"
        ) from error
    try:
        make(scratch)
        scratch.replace(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been first, which is fine
            raise BaseModelError(f"cannot write {folder} ({error}); set SFT_REF_CACHE to another folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder
